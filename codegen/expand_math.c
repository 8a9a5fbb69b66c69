#include "codegen/codegen.h"
void expand_math(kmodule *m)
{
    (void)m;
}
