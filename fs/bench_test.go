package fs_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"echofs/fs"
)

// BenchmarkMount measures what a client sees; the numbers are those of one
// operation.
func BenchmarkMount(b *testing.B) {
	for _, c := range []struct {
		name  string
		setUp string
		loop  string // python, run with i
	}{
		{"Create", ``, `open("f%d.json" % i, "w").write("{}")`},
		{"Overwrite", `echo '{"n":-1}' > o.json`, `open("o.json", "w").write('{"n":%d}' % i)`},
		{"CreateLocal", ``, `open(".f%d" % i, "w").write("{}")`},
		{"ReadWarm", `echo '{"n":-1}' > r.json; sleep 4`, `open("r.json").read()`},
		{"ReadRecent", `echo '{"n":-1}' > r.json`, `open("r.json").read()`},
		{"StatWarm", `echo '{"n":-1}' > r.json`, `os.stat("r.json")`},
		{"Rename", `echo '{}' > r0.json`, `os.rename("r%d.json" % i, "r%d.json" % (i+1))`},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := mount(b, fs.Options{})
			m.sh(c.setUp)
			b.ResetTimer()
			out := m.sh(fmt.Sprintf(`python3 -c '
import os, time
t = time.time()
for i in range(%d):
    %s
print(time.time() - t)'`, b.N, strings.ReplaceAll(c.loop, "'", `'"'"'`)))
			seconds, err := strconv.ParseFloat(strings.TrimSpace(out), 64)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(time.Duration(seconds*float64(time.Second)))/float64(b.N), "ns/op")
		})
	}
}
