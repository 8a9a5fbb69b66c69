/* As much of zlib as runtime/npz.c needs to read and write .npz files whose members are stored: tfxrun for another
 * architecture is compiled with this, since its zlib is not at hand. */
#ifndef ZLIB_H
#define ZLIB_H

#include <stddef.h>
#include <stdint.h>

#define Z_OK 0
#define Z_STREAM_END 1
#define Z_STREAM_ERROR (-2)
#define Z_BUF_ERROR (-5)
#define Z_NULL NULL
#define Z_NO_FLUSH 0

typedef void *voidpf;
typedef unsigned char Bytef;
typedef unsigned int uInt;
typedef unsigned long uLong;
typedef struct {
    const Bytef *next_in;
    Bytef *next_out;
    uInt avail_in, avail_out;
    void *(*zalloc)(void *opaque, uInt items, uInt size);
    void (*zfree)(void *opaque, void *p);
    void *opaque;
} z_stream;

/* Deflated members are refused. */
static inline int inflateInit2(z_stream *s, int bits)
{
    (void)s, (void)bits;
    return Z_STREAM_ERROR;
}

static inline int inflate(z_stream *s, int flush)
{
    (void)s, (void)flush;
    return Z_STREAM_ERROR;
}

static inline int inflateEnd(z_stream *s)
{
    (void)s;
    return Z_OK;
}

/* The checksum of RFC 1952, section 8, bit by bit. */
static inline uLong crc32_z(uLong crc, const Bytef *p, size_t n)
{
    uint32_t c = ~(uint32_t)crc;
    for (size_t i = 0; p && i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++) c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
    }
    return (uint32_t)~c;
}

#endif
