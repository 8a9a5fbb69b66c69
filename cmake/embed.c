/* embed OUT.c BITCODE HEADER [NAME FILE]...: writes the definitions of support/embedded.h. An empty file name embeds
 * nothing. Runs while tfxc is built. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static void fail(const char *what, const char *file)
{
    perror(file);
    fprintf(stderr, "embed: cannot %s %s\n", what, file);
    exit(1);
}

/* The elements of an array initializer, with a final 0, and the size without it. In text, what is no ASCII is written
 * as characters, which have the sign that char has. */
static size_t write_bytes(FILE *out, const char *file, bool text)
{
    size_t size = 0;
    if (*file) {
        FILE *in = fopen(file, "rb");
        if (!in) fail("read", file);
        for (int c; (c = getc(in)) != EOF; size++) {
            if (size % 24 == 0) fputc('\n', out);
            fprintf(out, text && c >= 128 ? "'\\x%x'," : "%u,", (unsigned)c);
        }
        if (ferror(in)) fail("read", file);
        fclose(in);
    }
    fputs("0", out);
    return size;
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc % 2) {
        fputs("usage: embed OUT.c BITCODE HEADER [NAME FILE]...\n", stderr);
        return 2;
    }
    FILE *out = fopen(argv[1], "w");
    if (!out) fail("write", argv[1]);
    fputs("#include \"support/embedded.h\"\n", out);

    /* LLVM reads bitcode in 4-byte words. */
    fputs("_Alignas(16) const unsigned char tfxrt_bitcode[] = {", out);
    size_t size = write_bytes(out, argv[2], false);
    fprintf(out, "};\nconst size_t tfxrt_bitcode_size = %zu;\n", size);

    fputs("const char tfx_h_text[] = {", out);
    size = write_bytes(out, argv[3], true);
    fprintf(out, "};\nconst size_t tfx_h_size = %zu;\n", size);

    int files = (argc - 4) / 2;
    size_t *sizes = calloc((size_t)files + 1, sizeof *sizes);
    if (!sizes) fail("allocate for", argv[1]);
    for (int i = 0; i < files; i++) {
        fprintf(out, "static const char std_%d[] = {", i);
        sizes[i] = write_bytes(out, argv[5 + 2 * i], true);
        fputs("};\n", out);
    }
    fputs("const std_file std_files[] = {\n", out);
    for (int i = 0; i < files; i++) fprintf(out, "{\"%s\", std_%d, %zu},\n", argv[4 + 2 * i], i, sizes[i]);
    fprintf(out, "{0}};\nconst size_t std_file_count = %d;\n", files);
    free(sizes);
    if (ferror(out) || fclose(out)) fail("write", argv[1]);
    return 0;
}
