// SPDX-License-Identifier: MIT
//
// mp_shm_dict_new(): several processes count the words of a text in one dict. Each takes
// every third line; they seldom meet, and never wait for long.
#include <ctype.h>
#include <inttypes.h>
#include <mp/mp.h>
#include <stdio.h>
#include <string.h>

#define PROCESSES 3

static const char *const text[] = {
    "the quick brown fox jumps over the lazy dog",
    "the dog sleeps on",
    "over the hills and far away",
    "the fox is far away",
    "a dog and a fox and a dog",
    "sleep on lazy dog",
};
#define LINES (sizeof text / sizeof *text)

struct job {
    mp_shm_dict *words;
    size_t first;
};

static int count_words(void *arg)
{
    const struct job *job = arg;
    for (size_t i = job->first; i < LINES; i += PROCESSES) {
        for (const char *word = text[i]; *word;) {
            size_t n = strcspn(word, " ");
            int r = mp_shm_dict_incr(job->words, word, n, 1, NULL);
            if (r < 0)
                return 1;
            word += n + strspn(word + n, " ");
        }
    }
    return 0;
}

static int count_all(mp_shm_dict *words)
{
    mp_process *process[PROCESSES] = {NULL};
    int r = 0;
    for (size_t i = 0; r == 0 && i < PROCESSES; i++)
        r = mp_process_start(&process[i], count_words, &(struct job){words, i}, NULL);
    for (size_t i = 0; i < PROCESSES && process[i]; i++) {
        int code = 0, joined = mp_process_join(process[i], MP_FOREVER);
        if (joined < 0 || mp_process_exitcode(process[i], &code) < 0 || code != 0)
            r = -1;
        mp_process_free(process[i]);
    }
    return r;
}

static int64_t print_all(mp_shm_dict *words)
{
    mp_shm_dict_iter *it;
    mp_shm_dict_item item;
    int64_t sum = 0;
    if (mp_shm_dict_iter_new(&it, words) < 0)
        return -1;
    while (mp_shm_dict_iter_next(it, &item) == 1) {
        int64_t n;
        memcpy(&n, item.value, sizeof n);
        printf("%3" PRId64 " %s\n", n, (const char *)item.key);
        sum += n;
    }
    mp_shm_dict_iter_free(it);
    return sum;
}

int main(void)
{
    mp_shm_dict *words;
    int r = mp_shm_dict_new(&words, NULL); // before the processes, so that they have it
    if (r < 0) {
        fprintf(stderr, "shm_dict_words: %s\n", mp_strerror(r));
        return 1;
    }
    r = count_all(words);
    int64_t sum = r < 0 ? -1 : print_all(words);
    printf("%" PRId64 " words\n", sum);
    mp_shm_dict_free(words);
    return sum == 36 ? 0 : 1;
}
