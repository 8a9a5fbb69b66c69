/* embed OUT.c HEADER [NAME FILE]...: writes the definitions of support/embedded.h. A file is LLVM bitcode of the
 * runtime when its name ends in .bc, and is then named by its architecture; else a file of the standard library. Runs
 * while tfxc is built. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    FILE *in = fopen(file, "rb");
    if (!in) fail("read", file);
    for (int c; (c = getc(in)) != EOF; size++) {
        if (size % 24 == 0) fputc('\n', out);
        fprintf(out, text && c >= 128 ? "'\\x%x'," : "%u,", (unsigned)c);
    }
    if (ferror(in)) fail("read", file);
    fclose(in);
    fputs("0", out);
    return size;
}

static bool is_bitcode(const char *file)
{
    size_t n = strlen(file);
    return n > 3 && !strcmp(file + n - 3, ".bc");
}

/* The files of one kind, each as an array, and the table of them. */
static void write_table(FILE *out, char **names, int n, bool bitcode)
{
    const char *kind = bitcode ? "runtime" : "std";
    size_t *sizes = calloc((size_t)n + 1, sizeof *sizes);
    int count = 0;
    if (!sizes) fail("allocate for", kind);
    for (int i = 0; i < n; i++) {
        if (is_bitcode(names[2 * i + 1]) != bitcode) continue;
        /* LLVM reads bitcode in 4-byte words. */
        fprintf(out, "%s %s_%d[] = {", bitcode ? "_Alignas(16) static const unsigned char" : "static const char", kind,
                i);
        sizes[i] = write_bytes(out, names[2 * i + 1], !bitcode);
        fputs("};\n", out);
    }
    fprintf(out, "const %s[] = {\n", bitcode ? "runtime_bitcode runtime_bitcodes" : "std_file std_files");
    for (int i = 0; i < n; i++) {
        if (is_bitcode(names[2 * i + 1]) != bitcode) continue;
        fprintf(out, "{\"%s\", %s_%d, %zu},\n", names[2 * i], kind, i, sizes[i]);
        count++;
    }
    fprintf(out, "{0}};\nconst size_t %s = %d;\n", bitcode ? "runtime_bitcode_count" : "std_file_count", count);
    free(sizes);
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc % 2 == 0) {
        fputs("usage: embed OUT.c HEADER [NAME FILE]...\n", stderr);
        return 2;
    }
    FILE *out = fopen(argv[1], "w");
    if (!out) fail("write", argv[1]);
    fputs("#include \"support/embedded.h\"\n", out);
    fputs("const char tfx_h_text[] = {", out);
    size_t size = write_bytes(out, argv[2], true);
    fprintf(out, "};\nconst size_t tfx_h_size = %zu;\n", size);
    write_table(out, argv + 3, (argc - 3) / 2, true);
    write_table(out, argv + 3, (argc - 3) / 2, false);
    if (ferror(out) || fclose(out)) fail("write", argv[1]);
    return 0;
}
