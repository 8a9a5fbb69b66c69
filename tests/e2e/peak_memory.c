/* peak_memory MB COMMAND...: runs the command; status 98 when it, or a process that it waited for, ever had more than
 * so many megabytes resident, else the command's own. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct rusage used;
    int status;
    if (argc < 3) return fputs("usage: peak_memory MB COMMAND...\n", stderr), 99;
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(99);
    }
    if (child < 0 || wait4(child, &status, 0, &used) != child) return perror("peak_memory"), 99;
    if (!WIFEXITED(status)) return fprintf(stderr, "%s: signal %d\n", argv[2], WTERMSIG(status)), 99;
    double mb = (double)used.ru_maxrss * 1024e-6;
    if (WEXITSTATUS(status) == 0 && mb > atof(argv[1]))
        return fprintf(stderr, "%s: %.0f MB of memory, expected at most %s\n", argv[2], mb, argv[1]), 98;
    return WEXITSTATUS(status);
}
