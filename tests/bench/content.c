/*
 * The content that a disk must have, and its comparison with an export.
 *
 * Each write takes its bytes from a pool of random ones, from a place that
 * block and count of writes choose: so nothing is generated or copied while
 * the time is taken, and an old version of a block is told from the last.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/mman.h>
#include <sys/stat.h>
#include "content.h"

#define POOL_PLACES MiB
/* Reads at a time, and bytes of each. */
#define READS 4
#define READ_SIZE CONTENT_BLOCK_MAX

struct Content {
    size_t block;
    uint64_t size;
    const char *file;   /* @size bytes */
    uint32_t *versions; /* how often each block was written */
    char *pool;         /* POOL_PLACES and a block */
};

/* One of the reads in flight. */
typedef struct Reader {
    const Content *content;
    char *buffer;
    uint64_t offset;
    size_t bytes;
    bool busy;
    bool failed;
} Reader;

static const char *map_file(const char *path, uint64_t *size)
{
    struct stat st;
    void *mem;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0) {
        perror(path);
        return NULL;
    }
    *size = st.st_size;
    mem = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mem == MAP_FAILED) {
        perror(path);
        return NULL;
    }
    return mem;
}

static char *new_pool(size_t bytes)
{
    g_autoptr(GRand) rand = g_rand_new();
    uint32_t *pool = g_malloc(bytes);

    for (size_t i = 0; i < bytes / sizeof(*pool); i++) {
        pool[i] = g_rand_int(rand);
    }
    return (char *)pool;
}

Content *content_new(const char *path, size_t block)
{
    uint64_t size;
    const char *file = map_file(path, &size);
    Content *content;

    if (!file) {
        return NULL;
    }
    if (size % block) {
        fprintf(stderr, "%s: its size is no multiple of %zu\n", path, block);
        munmap((void *)file, size);
        return NULL;
    }
    content = g_new0(Content, 1);
    content->block = block;
    content->size = size;
    content->file = file;
    content->versions = g_new0(uint32_t, size / block);
    content->pool = new_pool(POOL_PLACES + block);
    return content;
}

void content_free(Content *content)
{
    if (content) {
        munmap((void *)content->file, content->size);
        g_free(content->versions);
        g_free(content->pool);
        g_free(content);
    }
}

uint64_t content_blocks(const Content *content)
{
    return content->size / content->block;
}

const void *content_expected(const Content *content, uint64_t block)
{
    uint64_t mix = block << 32 | content->versions[block];

    if (!content->versions[block]) {
        return content->file + block * content->block;
    }
    mix = (mix ^ mix >> 29) * UINT64_C(0x9e3779b97f4a7c15);
    return content->pool + (mix >> 32) % POOL_PLACES / 8 * 8;
}

const void *content_next(Content *content, uint64_t block)
{
    content->versions[block]++;
    return content_expected(content, block);
}

static bool compare(const Reader *reader)
{
    const Content *content = reader->content;

    for (size_t done = 0; done < reader->bytes; done += content->block) {
        uint64_t block = (reader->offset + done) / content->block;

        if (memcmp(reader->buffer + done, content_expected(content, block),
                   content->block)) {
            fprintf(stderr,
                    "block %" PRIu64 " of %zu bytes, written %u times, has "
                    "other bytes than it must have\n",
                    block, content->block, content->versions[block]);
            return false;
        }
    }
    return true;
}

static int read_done(void *opaque, int *error)
{
    Reader *reader = opaque;

    if (*error) {
        fprintf(stderr, "read at %" PRIu64 ": %s\n", reader->offset,
                g_strerror(*error));
    }
    reader->failed = *error || !compare(reader);
    reader->busy = false;
    return 1;
}

static bool start_read(Reader *reader, struct nbd_handle *nbd, uint64_t offset)
{
    uint64_t left = reader->content->size - offset;
    nbd_completion_callback done = {.callback = read_done, .user_data = reader};

    reader->offset = offset;
    reader->bytes = MIN(left, READ_SIZE);
    reader->busy = true;
    if (nbd_aio_pread(nbd, reader->buffer, reader->bytes, offset, done, 0) <
        0) {
        fprintf(stderr, "%s\n", nbd_get_error());
        reader->busy = false;
        return false;
    }
    return true;
}

/* Keeps all readers busy up to the end; the readers are left idle. */
static bool read_all(Reader *readers, struct nbd_handle *nbd, uint64_t size)
{
    uint64_t next = 0;
    bool good = true;
    bool busy;

    do {
        busy = false;
        for (int i = 0; i < READS; i++) {
            if (!readers[i].busy && good && next < size) {
                good = start_read(&readers[i], nbd, next);
                next += readers[i].bytes;
            }
            busy |= readers[i].busy;
        }
        if (busy && nbd_poll(nbd, -1) < 0) {
            fprintf(stderr, "%s\n", nbd_get_error());
            return false;
        }
        for (int i = 0; i < READS; i++) {
            good &= !readers[i].failed;
        }
    } while (busy);
    return good;
}

bool content_verify(const Content *content, struct nbd_handle *nbd)
{
    Reader readers[READS] = {0};
    bool good;

    if (nbd_get_size(nbd) != (int64_t)content->size) {
        fprintf(stderr, "the export has another size than it must have\n");
        nbd_close(nbd);
        return false;
    }
    for (int i = 0; i < READS; i++) {
        readers[i].content = content;
        readers[i].buffer = g_malloc(READ_SIZE);
    }
    good = read_all(readers, nbd, content->size);
    /* Ends what is still in flight, before its buffers go. */
    nbd_close(nbd);
    for (int i = 0; i < READS; i++) {
        g_free(readers[i].buffer);
    }
    return good;
}
