/* checkpoint_format.h - the bytes of a checkpoint, known to its writer and its reader alone.
 *
 * A checkpoint is a partition's index as it stood, with what it takes to tell whether it still fits the log. What the
 * blocks and the image head mean is the index' own business; here they are bytes. Three areas follow one another
 * without a gap and fill the file: header, blocks, tables. All numbers are little-endian.
 *
 * Header, 4096 bytes:
 *
 *   0   8  magic            "bitcask\n", as of a data file
 *   8   2  format version   1
 *  10   2  kind             3, BC_KIND_INDEX
 *  12   4  header size      4096
 *  16   8  checkpoint id    random, never 0: tells this checkpoint from every other one
 *  24   8  partition id
 *  32   8  last version     the highest in the log up to the end
 *  40   8  keys             entries in all blocks
 *  48   4  tail segment     id of the segment, and
 *  52   4  end segment        (see end offset)
 *  56   8  tail offset      the offset in it, from which the log is to be replayed
 *  64   8  end offset       in the end segment: the log was durable up to there when this file got
 *                           its name, and entries may name records up to there
 *  72   8  last record      offset of the record that ends at the end offset; 0: the end segment has
 *                           none in front of it
 *  80  26  last front       the first bytes of that record; zeros if there is none
 * 106   2  zeros
 * 108   4  slots            rows of the table of slots
 * 112   4  blocks           how many
 * 116   4  head size        of the image head
 * 120   4  tables crc       CRC-32C of the tables
 * 124   8  tables offset    where they begin, which is where the blocks end
 * 132      zeros
 * 4092  4  header crc       CRC-32C of bytes 0 to 4091
 *
 * Each block begins at a multiple of 4096 and is filled up with zeros to the next one, so that many can be read into
 * one piece of memory and used there as they are.
 *
 * Tables: the slots, the blocks, the image head.
 *
 * Slot, 64 bytes. The place in the table is the number by which entries name the segment:
 *
 *   0   4  segment id       0: the slot is free, and all else in the row is 0
 *   4   4  lowest id
 *   8   8  generation
 *  16   8  size             bytes: of the whole file; of the end segment the end offset
 *  24   8  live bytes       of the records that entries in the blocks name
 *  32   8  live keys        how many these are
 *  40   8  tombstone bytes  as of the tail; 0 for segments behind the tail's
 *  48   8  hint bytes
 *  56   4  flags            1: older segments were merged (tombstones_due)
 *  60   4  zeros
 *
 * Block, 8 bytes: its size (4), the CRC-32C of it and the zeros behind it (4).
 *
 * So every byte has a check above it: that of the header stands over that of the tables, which hold those of the
 * blocks. A page that is missing, or is of another checkpoint, does not verify.
 *
 * Blocks are written as they come, the tables behind them, the header last.
 */
#ifndef BC_CHECKPOINT_FORMAT_H
#define BC_CHECKPOINT_FORMAT_H

#include "log/checkpoint.h"

enum bc_checkpoint_header_at {
    BC_CHECKPOINT_AT_MAGIC = 0,
    BC_CHECKPOINT_AT_FORMAT = 8,
    BC_CHECKPOINT_AT_KIND = 10,
    BC_CHECKPOINT_AT_HEADER_SIZE = 12,
    BC_CHECKPOINT_AT_ID = 16,
    BC_CHECKPOINT_AT_PARTITION_ID = 24,
    BC_CHECKPOINT_AT_LAST_VERSION = 32,
    BC_CHECKPOINT_AT_KEYS = 40,
    BC_CHECKPOINT_AT_TAIL_ID = 48,
    BC_CHECKPOINT_AT_END_ID = 52,
    BC_CHECKPOINT_AT_TAIL_OFFSET = 56,
    BC_CHECKPOINT_AT_END_OFFSET = 64,
    BC_CHECKPOINT_AT_LAST_RECORD = 72,
    BC_CHECKPOINT_AT_LAST_FRONT = 80,
    BC_CHECKPOINT_AT_SLOTS = 108,
    BC_CHECKPOINT_AT_BLOCKS = 112,
    BC_CHECKPOINT_AT_HEAD_SIZE = 116,
    BC_CHECKPOINT_AT_TABLES_CRC = 120,
    BC_CHECKPOINT_AT_TABLES_OFFSET = 124,
    BC_CHECKPOINT_AT_HEADER_CRC = 4092,
    BC_CHECKPOINT_HEADER_SIZE = 4096
};

enum bc_checkpoint_slot_at {
    BC_CHECKPOINT_AT_SEGMENT_ID = 0,
    BC_CHECKPOINT_AT_LOWEST_ID = 4,
    BC_CHECKPOINT_AT_GENERATION = 8,
    BC_CHECKPOINT_AT_SIZE = 16,
    BC_CHECKPOINT_AT_LIVE_BYTES = 24,
    BC_CHECKPOINT_AT_LIVE_KEYS = 32,
    BC_CHECKPOINT_AT_TOMBSTONE_BYTES = 40,
    BC_CHECKPOINT_AT_HINT_BYTES = 48,
    BC_CHECKPOINT_AT_FLAGS = 56,
    BC_CHECKPOINT_SLOT_SIZE = 64
};

enum { BC_CHECKPOINT_TOMBSTONES_DUE = 1u << 0 };

#define BC_CHECKPOINT_BLOCK_ROW_SIZE 8u

/* The bytes that a block of this size takes in the file. */
static inline uint64_t bc_checkpoint_padded(uint64_t size)
{
    return (size + BC_CHECKPOINT_ALIGN - 1) & ~(uint64_t)(BC_CHECKPOINT_ALIGN - 1);
}

_Static_assert(BC_CHECKPOINT_AT_LAST_FRONT + BC_RECORD_HEAD_SIZE <= BC_CHECKPOINT_AT_SLOTS, "a front fits");
_Static_assert(BC_CHECKPOINT_HEADER_SIZE % BC_CHECKPOINT_ALIGN == 0, "the first block is aligned");

#endif
