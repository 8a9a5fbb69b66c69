/* Every offset read from the file is checked against its size: a surprise from LLVM must become a message, not a crash.
 */
#include "codegen/elf_object.h"

#include <elf.h>
#include <string.h>

static bool inside(size_t n, uint64_t offset, uint64_t size)
{
    return offset <= n && size <= n - offset;
}

static Elf64_Ehdr header(const uint8_t *bytes)
{
    Elf64_Ehdr h;
    memcpy(&h, bytes, sizeof h);
    return h;
}

static Elf64_Shdr section(const uint8_t *bytes, uint32_t i)
{
    Elf64_Shdr s;
    memcpy(&s, bytes + header(bytes).e_shoff + i * sizeof s, sizeof s);
    return s;
}

/* Beyond 65279 sections the count stands in the first section header. */
static uint32_t section_count(const uint8_t *bytes)
{
    Elf64_Ehdr h = header(bytes);
    return h.e_shnum ? h.e_shnum : (uint32_t)section(bytes, 0).sh_size;
}

static bool has_contents(const Elf64_Shdr *s)
{
    return s->sh_type != SHT_NULL && s->sh_type != SHT_NOBITS;
}

bool elf_object_valid(const uint8_t *bytes, size_t n)
{
    if (n < sizeof(Elf64_Ehdr) || memcmp(bytes, ELFMAG, SELFMAG) != 0) return false;
    Elf64_Ehdr h = header(bytes);
    if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB || h.e_type != ET_REL) return false;
    if (h.e_shentsize != sizeof(Elf64_Shdr) || !inside(n, h.e_shoff, sizeof(Elf64_Shdr))) return false;
    uint64_t count = section_count(bytes);
    if (!inside(n, h.e_shoff, count * sizeof(Elf64_Shdr)) || h.e_shstrndx >= count) return false;
    for (uint32_t i = 0; i < count; i++) {
        Elf64_Shdr s = section(bytes, i);
        if (has_contents(&s) && !inside(n, s.sh_offset, s.sh_size)) return false;
    }
    return true;
}

/* Name `at` of a string section equals `name`. */
static bool named(const uint8_t *bytes, const Elf64_Shdr *strings, uint32_t at, const char *name)
{
    size_t len = strlen(name) + 1;
    return at <= strings->sh_size && len <= strings->sh_size - at &&
           memcmp(bytes + strings->sh_offset + at, name, len) == 0;
}

typedef struct {
    const char *name; /* of the symbol; NULL: any */
    uint32_t in;      /* section; SHN_UNDEF: any */
    Elf64_Sym symbol;
    uint64_t at; /* of the entry in the file */
} symbol_search;

static bool find_symbol(const uint8_t *bytes, symbol_search *want)
{
    for (uint32_t i = 0; i < section_count(bytes); i++) {
        Elf64_Shdr s = section(bytes, i);
        if (s.sh_type != SHT_SYMTAB || s.sh_entsize != sizeof(Elf64_Sym) || s.sh_link >= section_count(bytes)) continue;
        Elf64_Shdr strings = section(bytes, s.sh_link);
        for (uint64_t at = s.sh_offset; at + sizeof(Elf64_Sym) <= s.sh_offset + s.sh_size; at += sizeof(Elf64_Sym)) {
            memcpy(&want->symbol, bytes + at, sizeof want->symbol);
            want->at = at;
            if (ELF64_ST_TYPE(want->symbol.st_info) != STT_OBJECT || (want->in && want->symbol.st_shndx != want->in))
                continue;
            if (!want->name || named(bytes, &strings, want->symbol.st_name, want->name)) return true;
        }
    }
    return false;
}

/* Sections of x86-64 that are too large for 32-bit offsets, so that linkers put them away from the code. */
#define SECTION_LARGE 0x10000000u

bool elf_move_section(uint8_t *bytes, size_t n, const char *name, uint64_t offset, uint64_t size)
{
    (void)n;
    Elf64_Ehdr h = header(bytes);
    Elf64_Shdr names = section(bytes, h.e_shstrndx);
    for (uint32_t i = 0; i < section_count(bytes); i++) {
        Elf64_Shdr s = section(bytes, i);
        if (!named(bytes, &names, s.sh_name, name) || s.sh_type != SHT_PROGBITS) continue;
        s.sh_offset = offset;
        s.sh_size = size;
        if (h.e_machine == EM_X86_64) s.sh_flags |= SECTION_LARGE;
        memcpy(bytes + h.e_shoff + i * sizeof s, &s, sizeof s);
        symbol_search want = {.in = i};
        if (find_symbol(bytes, &want)) {
            want.symbol.st_size = size;
            memcpy(bytes + want.at, &want.symbol, sizeof want.symbol);
        }
        return true;
    }
    return false;
}

uint8_t *elf_symbol_bytes(uint8_t *bytes, size_t n, const char *name, uint64_t *size)
{
    symbol_search want = {.name = name};
    if (!find_symbol(bytes, &want) || want.symbol.st_shndx >= section_count(bytes)) return NULL;
    Elf64_Shdr s = section(bytes, want.symbol.st_shndx);
    if (!has_contents(&s) || want.symbol.st_value > s.sh_size || want.symbol.st_size > s.sh_size - want.symbol.st_value)
        return NULL;
    if (!inside(n, s.sh_offset + want.symbol.st_value, want.symbol.st_size)) return NULL;
    *size = want.symbol.st_size;
    return bytes + s.sh_offset + want.symbol.st_value;
}
