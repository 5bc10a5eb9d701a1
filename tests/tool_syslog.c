/* tool_syslog.c - stands in for the system's logger: `tool_syslog PATH OUT` writes what comes to the socket PATH into
 * the file OUT, a line each, until it is killed. Tests only. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char line[4096];
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    FILE *out = argc == 3 ? fopen(argv[2], "w") : NULL;
    if (out == NULL || strlen(argv[1]) >= sizeof address.sun_path) return 2;
    strcpy(address.sun_path, argv[1]);
    unlink(argv[1]);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        perror(argv[1]);
        return 1;
    }
    for (;;) {
        ssize_t got = recv(fd, line, sizeof line - 1, 0);
        if (got < 0) return 1;
        line[got] = '\0';
        fprintf(out, "%s\n", line);
        fflush(out);
    }
}
