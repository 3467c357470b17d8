package blob_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain draws few cases, since a case moves megabytes, unless ECHOFS_SOAK is
// set or somebody asked for a number of them.
func TestMain(m *testing.M) {
	const name = "rapid.checks"
	flag.Parse()
	asked := os.Getenv("ECHOFS_SOAK") != ""
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == name })
	if !asked {
		_ = flag.Set(name, "20") // a number, which the flag takes
	}
	os.Exit(m.Run())
}
