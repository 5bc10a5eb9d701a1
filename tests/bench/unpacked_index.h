/* unpacked_index.h - what an index takes when it is written as the textbook has it: to compare the store's with.
 *
 * An entry is malloc'ed for each key, and the key for itself; a hash table of pointers finds it, a skip list keeps it
 * in order. It knows what the store's index knows of a key: where its record is, how large, its version, size, mtime
 * and class of attributes. A machine without memory ends the program. Threads: one.
 */
#ifndef BENCH_UNPACKED_INDEX_H
#define BENCH_UNPACKED_INDEX_H

#include <stddef.h>
#include <stdint.h>

/* Builds one of keys that measure_key() gives for the numbers below count, and checks that it finds each and has them
 * in order. Stays until the process ends. Returns how many it found. */
size_t unpacked_index_build(size_t count);

#endif
