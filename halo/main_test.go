package halo_test

import (
	"flag"
	"os"
	"testing"
)

// quickCases is how many histories a property draws: each is some dozens of
// signatures. ECHOFS_SOAK, or -rapid.checks, draws more.
const quickCases = "25"

func TestMain(m *testing.M) {
	flag.Parse()
	asked := os.Getenv("ECHOFS_SOAK") != ""
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "rapid.checks" })
	if f := flag.Lookup("rapid.checks"); f != nil && !asked {
		_ = f.Value.Set(quickCases) // a number, which the flag takes
	}
	os.Exit(m.Run())
}
