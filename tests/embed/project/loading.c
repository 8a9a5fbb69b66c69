/* Loads a model at run time, with the installed loader and header. */
#include <tfx.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    char why[256];
    tfx_options options = TFX_OPTIONS_INIT;
    tfx_model *m;
    options.message = why;
    options.message_bytes = sizeof why;
    if (argc != 2) return 2;
    if (tfx_open(argv[1], &options, &m) != TFX_OK) return puts(why), 1;
    puts(tfx_get_info(m)->name);
    tfx_close(m);
    return 0;
}
