# SPDX-License-Identifier: MIT
#
# Perl's MCE::Map with two workers: pool_mce.pl tiny|tiny1|cpu|start SECONDS
# The tests are those of pool_test.h.
use strict;
use warnings;
use Time::HiRes 'time';
use MCE::Map;

my ($test, $seconds) = @ARGV;
my $steps = 2000;    # of spin(); set before the workers start

sub report { printf "%s\tperl_MCE::Map\t%.6g\t%s\n", @_ }

sub workers { MCE::Map->init(max_workers => 2, chunk_size => $_[0]) }

sub spin {
    my $x = $_[0] + 1;
    $x = ($x * 1103515245 + 12345) & 0x7fffffff for 1 .. $steps;
    return $x;
}

sub squares {
    my ($metric, $n, $chunk) = @_;
    workers($chunk);
    my @items = (0 .. $n - 1);
    my @warm_up = mce_map { $_ * $_ } 1 .. 100;
    my $start = time;
    my @result = mce_map { $_ * $_ } @items;
    my $elapsed = time - $start;
    @result == $n or die "results are missing";
    $result[$_] == $_ * $_ or die "wrong result for $_" for @items;
    MCE::Map->finish;
    report($metric, $n / $elapsed, 'tasks/s');
}

sub cpu {
    my $n = 10000;
    my $start = time;
    spin($_) for 1 .. 200;
    $steps = int($steps * 100e-6 / ((time - $start) / 200));
    # The serial time half before, half after: the speed of a CPU drifts.
    $start = time;
    my @serial = map { spin($_) } 0 .. $n / 2 - 1;
    my $serial_time = time - $start;
    workers('auto');
    my @warm_up = mce_map { spin($_) } 0 .. 99;
    $start = time;
    my @result = mce_map { spin($_) } 0 .. $n - 1;
    my $wall = time - $start;
    $start = time;
    push @serial, map { spin($_) } $n / 2 .. $n - 1;
    $serial_time += time - $start;
    "@serial" eq "@result" or die "wrong result";
    MCE::Map->finish;
    report('pool_cpu_eff', $serial_time / (2 * $wall) * 100, '%');
}

sub start_once {
    workers(1);
    my @items = (3, 4);
    my @result = mce_map { $_ * $_ } @items;
    "@result" eq '9 16' or die "wrong result @result";
    MCE::Map->finish;
}

sub start {
    start_once() for 1 .. 2;
    my ($count, $start) = (0, time);
    while (time - $start < $seconds) {
        start_once();
        $count++;
    }
    report('pool_start', (time - $start) / $count * 1e3, 'ms');
}

my %tests = (
    tiny  => sub { squares('pool_tiny_auto',   1_000_000, 'auto') },
    tiny1 => sub { squares('pool_tiny_chunk1', 100_000,   1) },
    cpu   => \&cpu,
    start => \&start,
);
($tests{ $test // '' } or die "usage: pool_mce.pl tiny|tiny1|cpu|start SECONDS\n")->();
