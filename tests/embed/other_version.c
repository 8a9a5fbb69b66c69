/* A shared object that calls itself a model with VERSION, API_SIZE and INFO_SIZE (by -D), for what loads models. Of a
 * table that it does not know a loader may read the two numbers in front, of a description the one. */
#include "runtime/tfx.h"

#include <stdlib.h>

static const struct {
    uint32_t size;
} description = {INFO_SIZE};

static const tfx_info *info(void)
{
    if (VERSION != TFX_ABI_VERSION || API_SIZE < sizeof(tfx_api)) abort();
    return (const tfx_info *)(const void *)&description;
}

static const struct {
    uint32_t abi_version, size;
    const tfx_info *(*info)(void);
} table = {VERSION, API_SIZE, info};

const tfx_api *tfx_model_v1(void);
const tfx_api *tfx_model_v1(void)
{
    return (const tfx_api *)(const void *)&table;
}
