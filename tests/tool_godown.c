/* tool_godown.c - pulls a disk away: `tool_godown DIRECTORY` lets every access to its filesystem fail from now on, with
 * nothing written any more, as ext4 and xfs can do it for tests (the ioctl FS_IOC_SHUTDOWN). Tests only. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define SHUTDOWN _IOR('X', 125, uint32_t)
enum { WITHOUT_FLUSHING_THE_LOG = 2 };

int main(int argc, char **argv)
{
    uint32_t how = WITHOUT_FLUSHING_THE_LOG;
    int fd = argc == 2 ? open(argv[1], O_RDONLY | O_DIRECTORY) : -1;
    if (fd >= 0 && ioctl(fd, SHUTDOWN, &how) == 0) return 0;
    perror("FS_IOC_SHUTDOWN");
    return 1;
}
