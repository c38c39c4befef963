// SPDX-License-Identifier: MIT
//
// sha256sum as a function for mpmap: a record is the name of a file, the result the line
// that sha256sum(1) prints for it. The hash is libcrypto's (link with -lcrypto); no process
// is started for a file.
//
//     find /usr/include -type f | mpmap --so ./plugin_sha256.so:sha256
#include <mp/plugin.h>

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

mp_record_fn sha256;

// Feeds a file to the hash: 0 or errno.
static int hash_file(EVP_MD_CTX *hash, const char *path)
{
    static char data[64 * 1024]; // each worker has its own
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    ssize_t n;
    while ((n = read(fd, data, sizeof data)) > 0)
        if (!EVP_DigestUpdate(hash, data, (size_t)n))
            break;
    int err = n < 0 ? errno : n > 0 ? ENOMEM : 0;
    close(fd);
    return err;
}

// Fails with the errno of a file that cannot be read.
MP_API
int sha256(const char *record, size_t len, mp_out *out, void *ctx)
{
    static EVP_MD_CTX *hash; // made once in each worker
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size;
    (void)ctx;
    if (!hash && !(hash = EVP_MD_CTX_new()))
        return ENOMEM;
    if (!EVP_DigestInit_ex(hash, EVP_sha256(), NULL))
        return ENOMEM;
    int err = hash_file(hash, record);
    if (err)
        return err;
    if (!EVP_DigestFinal_ex(hash, digest, &size))
        return ENOMEM;
    for (unsigned i = 0; i < size; i++) {
        mp_out_putc(out, "0123456789abcdef"[digest[i] >> 4]);
        mp_out_putc(out, "0123456789abcdef"[digest[i] & 15]);
    }
    mp_out_puts(out, "  ");
    mp_out_write(out, record, len);
    return mp_out_putc(out, '\n');
}
