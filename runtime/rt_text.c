/* Messages: text in fixed buffers, without allocation. */
#include "runtime/rt_internal.h"

#include <stdio.h>

void rt_text_start(struct rt_text *t, char *s, size_t cap)
{
    t->s = s;
    t->cap = s ? cap : 0;
    t->len = 0;
    if (t->cap) s[0] = 0;
}

static void text_vadd(struct rt_text *t, const char *fmt, va_list ap)
{
    if (t->cap - t->len < 2) return; /* full (cap 0 included): the length never reaches cap */
    int n = vsnprintf(t->s + t->len, t->cap - t->len, fmt, ap);
    if (n < 0) return;
    size_t left = t->cap - t->len - 1;
    t->len += (size_t)n < left ? (size_t)n : left;
}

void rt_text_add(struct rt_text *t, const char *fmt, ...)
{
    if (!t->cap) return;
    va_list ap;
    va_start(ap, fmt);
    text_vadd(t, fmt, ap);
    va_end(ap);
}

void rt_text_sizes(struct rt_text *t, uint32_t n, const int64_t *sizes)
{
    rt_text_add(t, "[");
    for (uint32_t i = 0; i < n; i++) rt_text_add(t, "%s%lld", i ? ", " : "", (long long)sizes[i]);
    rt_text_add(t, "]");
}

void rt_text_spec(struct rt_text *t, const tfx_tensor_info *info)
{
    rt_text_add(t, "[");
    for (int32_t i = 0; i < info->rank; i++) rt_text_add(t, "%s%s", i ? ", " : "", info->axes[i].text);
    rt_text_add(t, "]");
}

tfx_status rt_fail(struct rt_handle *h, tfx_status status, const char *fmt, ...)
{
    struct rt_text t;
    rt_text_start(&t, h->message, sizeof h->message);
    va_list ap;
    va_start(ap, fmt);
    text_vadd(&t, fmt, ap);
    va_end(ap);
    return status;
}
