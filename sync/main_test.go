package sync_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"echofs/echo/echotest"
)

// TestMain fails if goroutines of networks, sessions or servers are left.
func TestMain(m *testing.M) {
	code := echotest.Main(m)
	if code == 0 {
		if left := leaked(); left != "" {
			fmt.Fprintf(os.Stderr, "goroutines are left:\n%s\n", left)
			code = 1
		}
	}
	os.Exit(code)
}

// leaked returns the stacks of goroutines that are still ours after a grace.
func leaked() (left string) {
	for range 200 {
		left = ours()
		if left == "" {
			return ""
		}
		time.Sleep(10 * time.Millisecond)
	}
	return left
}

func ours() string {
	buf := make([]byte, 4<<20)
	var out []string
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "sync_test.TestMain") {
			continue
		}
		if strings.Contains(g, "echofs/sync") || strings.Contains(g, "github.com/pion") || strings.Contains(g, "coder/websocket") {
			out = append(out, g)
		}
	}
	return strings.Join(out, "\n\n")
}
