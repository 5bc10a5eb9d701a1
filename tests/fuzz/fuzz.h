/* fuzz.h - what the fuzz targets share: the entry point, checks, a file in memory, and checksums made right.
 *
 * A target is one function that takes bytes, whatever they are, and checks what must hold of them. clang's libFuzzer
 * calls it with bytes that it makes up (make fuzz); replay.c with those of the corpus, and with some changed at random
 * (make check). A format that has checksums is hardly ever hit by chance: the first byte of an input says with its
 * lowest bit whether they are computed anew before the input is used, as who forges a file would do. Threads: one.
 */
#ifndef BC_FUZZ_H
#define BC_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"

/* The target. Returns 0; what must not be ends the process. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition)                                                       \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                \
        }                                                                           \
    } while (0)

/* Reads every byte: of memory that was not set, or is not ours, a sanitizer speaks up. */
void fuzz_touch(const void *data, size_t size);

/* The input as memory of its own, exactly as large, so that a step behind it is seen; and its first byte. */
uint8_t *fuzz_copy(const uint8_t *data, size_t size);

/* ---- a file in memory ---- */

/* One file for reading, under whatever name. */
struct fuzz_file {
    struct bc_io io; /* first: the table's functions get a pointer to it */
    struct bc_io_ops ops;
    const uint8_t *data; /* not owned */
    size_t size;
    int open; /* handles */
};

void fuzz_file_init(struct fuzz_file *file, const uint8_t *data, size_t size);

/* ---- checksums ---- */

/* Each makes the checks of a file right, as far as its sizes let it find them. */
void fuzz_seal_header(uint8_t *data, size_t size); /* of a segment */
void fuzz_seal_records(uint8_t *data, size_t size, size_t at, uint64_t generation);
void fuzz_seal_segment(uint8_t *data, size_t size); /* both */
void fuzz_seal_hint(uint8_t *data, size_t size);
void fuzz_seal_checkpoint(uint8_t *data, size_t size);
void fuzz_seal_intent(uint8_t *data, size_t size);

/* Makes the head of the record at `at` right, and the CRC of its value; the bytes of the record, 0: there is none. */
size_t fuzz_seal_record(uint8_t *data, size_t size, size_t at, uint64_t generation);

#endif
