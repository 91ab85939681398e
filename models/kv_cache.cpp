#include "models/kv_cache.h"
