/* sensors.c - a program that keeps its data in a store that people can mount and look into: see embed_and_mount.sh.
 *
 *     sensors STORE
 *
 * A partition for each sensor below "readings", a key for each reading, named by its time, so that `ls` lists them in
 * the order of time. The reading's time is also stated as the file's mtime, and its mode says that it is read-only:
 * `ls -l`, `find -newermt` and `tar` then see what the program means.
 */
#include <bitcask.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { READINGS = 24 };

static int complain(const char *what, bitcask_status status)
{
    const char *detail = bitcask_error_detail();

    fprintf(stderr, "sensors: %s: %s\n", what, detail[0] != '\0' ? detail : bitcask_status_text(status));
    return 1;
}

/* A handle on the partition name of parent, which is made if it is not there. */
static bitcask_status open_or_create(bitcask_partition *parent, const char *name, bitcask_partition **partition)
{
    bitcask_status status = bitcask_partition_create(parent, name, strlen(name), NULL, 0, partition);

    return status == BITCASK_EXISTS ? bitcask_partition_open_at(parent, name, strlen(name), partition) : status;
}

static bitcask_status put_reading(bitcask_partition *sensor, time_t when, double celsius)
{
    const bitcask_attrs attrs = {
        .present = BITCASK_ATTR_MODE | BITCASK_ATTR_MTIME,
        .mode = 0100444, /* a regular file, as in stat(2) */
        .mtime_ns = (int64_t)when * 1000000000,
    };
    const bitcask_write_options options = {.attrs = &attrs};
    char key[32], value[32];
    struct tm tm;

    size_t key_size = gmtime_r(&when, &tm) != NULL ? strftime(key, sizeof key, "%Y-%m-%dT%H%MZ", &tm) : 0;
    int value_size = snprintf(value, sizeof value, "%.1f\n", celsius);
    return bitcask_put(sensor, key, key_size, value, (size_t)value_size, &options, NULL);
}

static bitcask_status fill_sensor(bitcask_partition *readings, const char *name, double base)
{
    const time_t midnight = 1767225600; /* 2026-01-01, UTC */
    bitcask_partition *sensor = NULL;
    bitcask_status status = open_or_create(readings, name, &sensor);

    for (int hour = 0; hour < READINGS && status == BITCASK_OK; hour++) {
        double distance = hour < 14 ? 14 - hour : hour - 14; /* warmest at two */
        status = put_reading(sensor, midnight + hour * 3600, base - distance / 2);
    }
    bitcask_partition_close(&sensor);
    return status;
}

int main(int argc, char **argv)
{
    bitcask *db = NULL;
    bitcask_partition *root = NULL, *readings = NULL;
    bitcask_options options;

    if (argc != 2) return fprintf(stderr, "usage: sensors STORE\n"), 2;
    bitcask_options_init(&options);
    options.create = true;
    bitcask_status status = bitcask_open(argv[1], &options, &db);
    if (status != BITCASK_OK) return complain(argv[1], status);
    status = bitcask_partition_open(db, "", &root);
    if (status == BITCASK_OK) status = open_or_create(root, "readings", &readings);
    if (status == BITCASK_OK) status = fill_sensor(readings, "roof", 3.5);
    if (status == BITCASK_OK) status = fill_sensor(readings, "cellar", 11.0);
    int result = status == BITCASK_OK ? 0 : complain("put", status);

    bitcask_partition_close(&readings);
    bitcask_partition_close(&root);
    status = bitcask_close(&db);
    return status == BITCASK_OK ? result : complain("close", status);
}
