/* verify_files.c - a partition that does not open, each file on its own.
 */
#include "partition/data_file.h"
#include "partition/verify_checkpoint.h"

static bc_status check_file(const struct bc_data_dir *dir, size_t i)
{
    struct bc_survey survey = {0};
    struct bc_data_file file;
    bc_status status = bc_data_file_open(dir, i, &file);

    if (status == BITCASK_NEWER_FORMAT)
        status = bc_tell_file(dir->verify, BITCASK_FOUND_NOTE, file.name,
                              "written by a newer version of this software; use that");
    else if (status == BITCASK_OK && file.superseded)
        status = bc_tell_file(dir->verify, BITCASK_FOUND_NOTE, file.name,
                              "superseded by a later file; the next open removes it");
    else if (status == BITCASK_OK)
        status = bc_data_file_check(dir, &file, &survey);
    bc_survey_release(&survey);
    bc_data_file_close(&file);
    return status;
}

bc_status bc_verify_files(const struct bc_verify *verify, uint64_t id)
{
    struct bc_data_dir dir;
    bool bad;
    bc_status status = bc_data_dir_open(verify, id, &dir);

    verify->result->partitions++;
    if (status == BITCASK_NOT_FOUND) return BITCASK_OK; /* nothing was ever put there */
    if (status != BITCASK_OK) return status;
    for (size_t i = 0; i < bc_data_dir_count(&dir) && status == BITCASK_OK; i++) status = check_file(&dir, i);
    if (status == BITCASK_OK) status = bc_verify_checkpoint_file(verify, dir.fd, &bad);
    for (size_t i = 0; i < dir.files.other_count && status == BITCASK_OK; i++)
        status = bc_tell_other(verify, dir.files.others[i]);
    bc_data_dir_close(&dir);
    return status;
}
