/* Changes to an ELF64 object file in memory, as LLVM wrote it: little-endian and relocatable. */
#ifndef CODEGEN_ELF_OBJECT_H
#define CODEGEN_ELF_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False when `bytes` is not a well-formed object of that kind. */
bool elf_object_valid(const uint8_t *bytes, size_t n);
/* Makes section `name` lie at byte `offset` of the file, `size` bytes long, and the object symbol in it as large. False
 * when there is no such section. */
bool elf_move_section(uint8_t *bytes, size_t n, const char *name, uint64_t offset, uint64_t size);
/* The bytes of the object symbol `name`; NULL when it is not defined in a section with contents. */
uint8_t *elf_symbol_bytes(uint8_t *bytes, size_t n, const char *name, uint64_t *size);

#endif
