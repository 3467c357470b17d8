package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"echofs/echo/doc"
	"echofs/echo/engine"
	"echofs/echo/engine/guard"
)

// wantWorking makes sure that an engine serves an ordinary request.
func wantWorking(tb testing.TB, e *engine.Engine, n byte) {
	tb.Helper()
	r := newReplica(tb, e, n)
	r.edit(put(doc.NewInt(1), "a"))
	if got := r.value.Get("a"); got == nil || got.Int != 1 {
		tb.Errorf("the engine gives %v, want 1", got)
	}
}

// crasher returns a file that the guard is tested with.
func crasher(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("guard", "testdata", "crashers", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// Changes that kill the core, not stopped by the guard, cost one call each.
func TestCrashersKillOnlyTheWorker(t *testing.T) {
	e := newEngine(t, engine.Options{Workers: 1})
	names, err := filepath.Glob(filepath.Join("guard", "testdata", "crashers", "*.bin"))
	if err != nil || len(names) == 0 {
		t.Fatal("no crashers", err)
	}
	deaths := 0
	var last error
	for _, path := range names {
		name := filepath.Base(path)
		if strings.Contains(name, "bomb") || strings.HasSuffix(name, "-2.bin") || strings.HasSuffix(name, "-4.bin") {
			continue // these take their time, see below; those die like -0.bin
		}
		chunk := crasher(t, name)
		var err error
		if strings.HasPrefix(name, "load-") { // a stored document
			_, err = e.Read(testContext(t), doc.Source{ID: doc.DocumentID{3}, Heads: doc.Heads{{1}},
				Load: func(context.Context) ([][]byte, error) { return [][]byte{chunk}, nil }}, nil)
			if err == nil {
				t.Errorf("%s: loads to a version that does not exist", name)
			}
		} else {
			_, err = e.Merge(testContext(t), doc.Source{ID: doc.DocumentID{2}}, [][]byte{chunk})
		}
		if errors.Is(err, doc.ErrEngine) {
			deaths++
			if !strings.Contains(err.Error(), "signal") && !strings.Contains(err.Error(), "exit") {
				t.Errorf("%s: %v does not say how the worker ended", name, err)
			}
			last = err
		}
	}
	if deaths < 5 {
		t.Errorf("%d deaths: the inputs do not test what they should", deaths)
	}
	t.Logf("%d inputs, %d deaths, the last: %v", len(names), deaths, last)
	wantWorking(t, e, 9)
}

// What passes the guard may still not be loadable after it was saved: Compact
// must not return such a form.
func TestUnloadableIsNoticed(t *testing.T) {
	e := newEngine(t, engine.Options{Workers: 1})
	names, _ := filepath.Glob(filepath.Join("guard", "testdata", "crashers", "unloadable-*.bin"))
	merged, refused := 0, 0
	for i, path := range names {
		chunk := crasher(t, filepath.Base(path))
		if _, err := guard.Check(chunk, guard.Rules{}); err != nil {
			continue
		}
		r := newReplica(t, e, byte(i))
		res, err := e.Merge(testContext(t), r.source(), [][]byte{chunk})
		if err != nil {
			continue // not ready: the document it was made for is not here
		}
		merged++
		r.heads, r.changes = res.Heads, []doc.Change{{Bytes: chunk}}
		saved, err := e.Compact(testContext(t), r.source())
		if err != nil {
			refused++
			continue
		}
		r.changes = []doc.Change{{Bytes: saved}}
		other := r.source()
		other.ID = doc.DocumentID{byte(i), 1}
		if v, err := e.Read(testContext(t), other, nil); err != nil || !v.Equal(res.Value) {
			t.Errorf("%s: the compact form gives %v, %v; want %v", filepath.Base(path), v, err, res.Value)
		}
	}
	if merged == 0 {
		t.Error("no input was merged")
	}
	t.Logf("%d merged, compact form of %d refused", merged, refused)
}

func TestTimeLimit(t *testing.T) {
	e := newEngine(t, engine.Options{Workers: 1, CallTimeout: 300 * time.Millisecond})
	start := time.Now()
	_, err := e.Merge(testContext(t), doc.Source{ID: doc.DocumentID{1}}, [][]byte{crasher(t, "opbomb-100000.bin")})
	if !errors.Is(err, doc.ErrEngine) || !strings.Contains(err.Error(), "in time") {
		t.Errorf("got %v, want a timeout", err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
	wantWorking(t, e, 2)
}

// A caller that leaves does not cost the worker its life.
func TestCallerLeaves(t *testing.T) {
	e := newEngine(t, engine.Options{Workers: 1})
	r := newReplica(t, e, 1)
	r.edit(put(doc.NewInt(1), "a"))
	r.edit(put(doc.NewInt(0), "a")) // loads it: the first change needs no worker
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	// Slow enough to be left, and harmless: it ends by itself.
	_, err := e.Merge(ctx, doc.Source{ID: doc.DocumentID{2}}, [][]byte{crasher(t, "opbomb-10000.bin")})
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, doc.ErrEngine) {
		t.Errorf("got %v, want the context's error", err)
	}
	if _, err := e.Read(ctx, r.source(), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with an ended context: %v", err)
	}
	r.edit(put(doc.NewInt(2), "a"))
	if r.loads != 1 {
		t.Errorf("the document was loaded again: the worker was killed")
	}
}

func TestMemoryLimit(t *testing.T) {
	e := newEngine(t, engine.Options{Workers: 1, MemoryLimit: 200 << 20, CallTimeout: 20 * time.Second})
	_, err := e.Merge(testContext(t), doc.Source{ID: doc.DocumentID{1}}, [][]byte{crasher(t, "listbomb-1000000.bin")})
	if !errors.Is(err, doc.ErrEngine) || strings.Contains(err.Error(), "in time") {
		t.Errorf("got %v, want the worker's death", err)
	}
	t.Log(err)
	wantWorking(t, e, 2)
}

// workers returns the processes below this one.
func workers(tb testing.TB) []int {
	tb.Helper()
	var out []int
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, path := range lists {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for _, f := range strings.Fields(string(b)) {
			var pid int
			fmt.Sscan(f, &pid)
			out = append(out, pid)
		}
	}
	return out
}

// A worker that was killed between two calls is replaced without an error.
func TestWorkerKilledBetweenCalls(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("finds the worker in /proc")
	}
	e := newEngine(t, engine.Options{Workers: 1})
	r := newReplica(t, e, 1)
	r.edit(put(doc.NewInt(1), "a"))
	pids := workers(t)
	if len(pids) != 1 {
		t.Skipf("children %v: the system does not list them", pids)
	}
	for i := range 5 {
		pid := workers(t)[0]
		p, err := os.FindProcess(pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(5 * time.Second); p.Signal(syscall.Signal(0)) == nil; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatal("the worker does not die")
			}
		}
		r.edit(put(doc.NewInt(int64(i)), "a"))
	}
	if r.loads != 5 {
		t.Errorf("%d loads, want 5", r.loads)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	e, err := engine.New(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wantWorking(t, e, 1)
	result := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		close(started)
		_, err := e.Merge(context.Background(), doc.Source{ID: doc.DocumentID{2}}, [][]byte{crasher(t, "opbomb-100000.bin")})
		result <- err
	}()
	<-started
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := <-result; !errors.Is(err, engine.ErrClosed) {
		t.Errorf("the call under way: %v, want ErrClosed", err)
	}
	if _, err := e.Read(context.Background(), doc.Source{}, nil); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if pids := workers(t); len(pids) != 0 {
		t.Errorf("processes %v are left", pids)
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestCommandThatIsNoWorker(t *testing.T) {
	for _, command := range []string{"/bin/true", "/bin/echo", "/nonexistent"} {
		_, err := engine.New(engine.Options{Command: []string{command}, CallTimeout: time.Second})
		if !errors.Is(err, doc.ErrEngine) {
			t.Errorf("%s: %v, want ErrEngine", command, err)
		}
	}
}

// A worker has no environment, no privileges to gain, and little else.
func TestWorkerIsConfined(t *testing.T) {
	t.Setenv("SECRET", "secret")
	e := newEngine(t, engine.Options{Workers: 1})
	wantWorking(t, e, 1)
	pids := workers(t)
	if len(pids) != 1 {
		t.Skipf("children %v: the system does not list them", pids)
	}
	read := func(name string) string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pids[0], name))
		if err != nil {
			t.Skip(err) // a worker is not dumpable: only root may look
		}
		return string(b)
	}
	if env := read("environ"); strings.Contains(env, "SECRET") || strings.Contains(env, "HOME=") {
		t.Errorf("environment %q", env)
	}
	if status := read("status"); strings.Count(status, "NoNewPrivs:\t1") != 1 {
		t.Errorf("status lacks NoNewPrivs: %s", status)
	}
	limits := strings.Join(strings.Fields(read("limits")), " ")
	for _, want := range []string{"Max open files 16 16", "Max core file size 0 0", "Max file size 0 0"} {
		if !strings.Contains(limits, want) {
			t.Errorf("limits lack %q: %s", want, limits)
		}
	}
	if strings.Contains(limits, "Max address space unlimited") {
		t.Error("the address space is not limited")
	}
}
