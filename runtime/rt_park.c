/* Sleeping until a word changes: futexes on Linux, a condition variable elsewhere. */
#define _GNU_SOURCE
#include "runtime/rt_internal.h"

#include <stdatomic.h>

#ifdef RT_FUTEX
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

bool rt_parking_init(struct rt_parking *p)
{
    (void)p;
    return true;
}

void rt_parking_free(struct rt_parking *p)
{
    (void)p;
}

void rt_park(struct rt_parking *p, _Atomic uint32_t *word, uint32_t value)
{
    (void)p;
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

void rt_unpark(struct rt_parking *p, _Atomic uint32_t *word)
{
    (void)p;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#else

bool rt_parking_init(struct rt_parking *p)
{
    if (pthread_mutex_init(&p->lock, NULL) != 0) return false;
    if (pthread_cond_init(&p->changed, NULL) == 0) return true;
    pthread_mutex_destroy(&p->lock);
    return false;
}

void rt_parking_free(struct rt_parking *p)
{
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
}

void rt_park(struct rt_parking *p, _Atomic uint32_t *word, uint32_t value)
{
    pthread_mutex_lock(&p->lock);
    while (atomic_load(word) == value) pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

/* Who sleeps on another word wakes as well and looks again. The lock lies between the sleeper's look and its sleep. */
void rt_unpark(struct rt_parking *p, _Atomic uint32_t *word)
{
    (void)word;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}
#endif
