package engine

import (
	"fmt"
	"os"
	"strconv"
)

// A worker learns its limits from its environment, which holds nothing else.
const (
	workerEnv = "ECHOFS_ENGINE_WORKER" // set: this process is a worker
	memoryEnv = "ECHOFS_ENGINE_MEMORY" // bytes
	cacheEnv  = "ECHOFS_ENGINE_CACHE"  // bytes
)

type limits struct {
	memory int64
	cache  int64
}

// env returns the whole environment of a worker. The abort of the core ends in
// the Go runtime's signal handler, which would print all goroutines.
func (l limits) env() []string {
	return []string{
		workerEnv + "=1",
		memoryEnv + "=" + strconv.FormatInt(l.memory, 10),
		cacheEnv + "=" + strconv.FormatInt(l.cache, 10),
		"GOMAXPROCS=2",
		"GOTRACEBACK=none",
	}
}

func readLimits() (limits, error) {
	l := limits{memory: DefaultMemoryLimit, cache: DefaultCacheBytes}
	for name, to := range map[string]*int64{memoryEnv: &l.memory, cacheEnv: &l.cache} {
		text := os.Getenv(name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n <= 0 {
			return l, fmt.Errorf("%s=%q is no number of bytes", name, text)
		}
		*to = n
	}
	return l, nil
}
