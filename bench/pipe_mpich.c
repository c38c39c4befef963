// SPDX-License-Identifier: MIT
//
// mpich: MPI_Send and MPI_Recv between two ranks on one machine, which go through
// MPICH's shared memory.  mpiexec -n 2 pipe_mpich TEST [SECONDS]
#include "pipe_test.h"

#include <mpi.h>

static unsigned char *buffer;
static int other;

static void rank_send(struct pipe_end *e, const void *data, size_t size)
{
    (void)e;
    MPI_Send(data, (int)size, MPI_BYTE, other, 0, MPI_COMM_WORLD);
}

// Asking MPI for the size would cost it time. A longer message is an error of MPI's
// own, a shorter one leaves the number of an older one in the last bytes.
static const void *rank_recv(struct pipe_end *e, size_t expect, size_t *size)
{
    (void)e;
    MPI_Recv(buffer, (int)expect, MPI_BYTE, other, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    *size = expect;
    return buffer;
}

int main(int argc, char **argv)
{
    struct pipe_end e = {.send = rank_send, .recv = rank_recv};
    int rank, ranks;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (ranks != 2 || argc < 2 || argc > 3)
        die("usage: mpiexec -n 2 pipe_mpich rtt|tp64|tp4k|tp1m [SECONDS]");
    struct pipe_test t = pipe_test_named(argv[1], argv[2]);
    buffer = allocate(PIPE_TEST_MAX);
    other = !rank;
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0)
        pipe_test_drive(&t, &e, "mpich");
    else
        pipe_test_serve(&t, &e);
    MPI_Finalize();
    return 0;
}
