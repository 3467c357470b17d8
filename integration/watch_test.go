package integration_test

import (
	"context"
	"slices"
	"strings"
	"time"
)

// watcher is a program that prints a line for each event.
type watcher struct {
	*stream
	heard chan string
	ended chan struct{}
	seen  []string
}

// watch starts a script in the space's directory that prints what it hears.
func (v *vault) watch(script string) *watcher {
	v.tb.Helper()
	command := slices.Concat(v.within, []string{"bash", "-c", `cd "$HERE" || exit 99` + "\n" + script})
	s := follow(v.tb, time.Hour, append(v.env(), "HERE="+v.here()), command[0], command[1:]...)
	w := &watcher{stream: s, heard: make(chan string, 100_000), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		defer close(w.heard)
		for s.lines.Scan() {
			w.heard <- s.lines.Text()
		}
	}()
	v.tb.Cleanup(w.stop)
	return w
}

// inotify watches with inotifywait, and returns when it listens.
func (v *vault) inotify(args string) *watcher {
	v.tb.Helper()
	need(v.tb, "inotifywait")
	w := v.watch("exec inotifywait -m --format '%e %w%f' " + args + " 2>&1")
	w.expect("Watches established")
	return w
}

// stop ends the watcher.
func (w *watcher) stop() {
	w.cancel()
	<-w.ended
	w.wait()
}

// expect waits for lines in this order; others may come between them.
func (w *watcher) expect(want ...string) {
	w.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, line := range want {
		for found := false; !found; {
			select {
			case got, open := <-w.heard:
				if !open {
					w.tb.Fatalf("%q ended: %s; heard %q, want %q", w.cmd.Args, w.errs.String(), w.seen, want)
				}
				w.seen = append(w.seen, got)
				found = strings.Contains(got, line)
			case <-ctx.Done():
				w.tb.Fatalf("%q heard %q, want %q", w.cmd.Args, w.seen, want)
			}
		}
	}
}
