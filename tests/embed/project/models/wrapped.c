#include "wrapped.h"

#include "inner.h"

int wrapped_classify(const float *pixels, float *logits)
{
    tfx_model *m;
    if (inner_open(NULL, &m) != TFX_OK) return 0;
    int ok = inner_infer(m, 1, pixels, logits) == TFX_OK;
    inner_close(m);
    return ok;
}
