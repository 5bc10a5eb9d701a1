/* writer_commit.c - what writers hold becomes the values of names, by the same way as every other put.
 *
 * The extents are in the log by then, in front of the inode's record that names them; so wherever a crash cuts the log,
 * a map that is there finds what it names. The put of that record is the commit, at any size.
 */
#include <stdlib.h>

#include "db/writer.h"

struct committing {
    struct bc_content content, based;
    bool prepared;
};

/* What is not large may become a record: the write has its bytes. */
static void give_bytes(struct bc_name_op *op, struct bc_write *write, const struct bc_content *content)
{
    if (content->extent_shift > 0) return;
    write->value = content->bytes;
    write->value_size = (uint32_t)content->size;
    op->value_size = content->size;
}

bc_status bc_writers_change(struct bitcask_partition *node, struct bc_name_op *ops, struct bc_write *writes,
                            struct bitcask_writer *const *writers, size_t count, const bitcask_write_options *options)
{
    struct committing *commits = calloc(count + 1, sizeof *commits);
    size_t prepared = 0;
    bc_status status = BITCASK_OK;

    if (!commits) return BITCASK_NO_MEMORY;
    for (; prepared < count && status == BITCASK_OK; prepared++) {
        struct committing *commit = &commits[prepared];

        if (!writers[prepared]) continue;
        status = bc_writer_prepare(writers[prepared], &commit->content, &commit->based);
        if (status != BITCASK_OK) break;
        commit->prepared = true;
        ops[prepared].content = &commit->content;
        ops[prepared].based = &commit->based;
        give_bytes(&ops[prepared], &writes[prepared], &commit->content);
    }
    if (status == BITCASK_OK)
        status = bc_names_change(node, ops, count, options);
    else
        for (size_t i = 0; i < prepared; i++) free(commits[i].content.runs);
    for (size_t i = 0; i < count; i++)
        if (commits[i].prepared) bc_writer_done(writers[i], ops[i].done, ops[i].ino);
    free(commits);
    return status;
}

bc_status bc_writer_commit(struct bitcask_writer *writer, struct bitcask_partition *node, const void *key,
                           size_t key_size, const bitcask_write_options *options, uint64_t *version)
{
    struct bc_write write = {.key = key, .key_size = key_size};
    struct bc_name_op op = {.write = &write};
    bc_status status;

    if (options && options->attrs) write.attrs = *options->attrs;
    status = bc_writers_change(node, &op, &write, &writer, 1, options);
    if (status == BITCASK_OK && version) *version = op.version;
    return status;
}
