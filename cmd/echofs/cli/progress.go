package cli

import (
	"fmt"
	"strings"
	"time"

	"echofs/cmd/echofs/control"
)

// barWidth is the width of a progress bar, in characters.
const barWidth = 30

// showSync shows how a sync goes: on a terminal a bar in one line, which the last
// call ends; elsewhere nothing.
func (a *app) showSync(s control.SyncStatus) {
	if !isTerminal(a.stderr) {
		return
	}
	_, _ = fmt.Fprintf(a.stderr, "\r\x1b[K%s", syncLine(s)) // to the beginning of the line, clear it
	if s.Total != nil && *s.Total == s.Entries {
		_, _ = fmt.Fprintln(a.stderr)
	}
}

// syncLine says how a sync goes; what is not known is said to be.
func syncLine(s control.SyncStatus) string {
	rate := fmt.Sprintf("%s/s", size(int64(s.Rate)))
	if s.Total == nil {
		return fmt.Sprintf("%d entries, of a number that is not known yet, %s", s.Entries, rate)
	}
	left := "time left not known"
	switch {
	case *s.Total <= s.Entries:
		left = "done"
	case s.ETA != nil:
		left = (time.Duration(*s.ETA) * time.Second).String() + " left"
	}
	return fmt.Sprintf("%s %d of %d entries, %s, %s", bar(s.Entries, *s.Total), s.Entries, *s.Total, rate, left)
}

// bar draws a part of a whole.
func bar(part, whole uint64) string {
	filled := barWidth
	if part < whole {
		filled = int(float64(part) / float64(whole) * barWidth)
	}
	return "[" + strings.Repeat("#", filled) + strings.Repeat(".", barWidth-filled) + "]"
}
