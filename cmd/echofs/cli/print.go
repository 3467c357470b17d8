package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// emit prints data: with --json as one document on one line, else by text.
func (a *app) emit(data any, text func(w io.Writer)) error {
	w := bufio.NewWriter(a.stdout)
	if a.json {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(data); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	} else {
		text(w)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// table prints rows under a heading, with columns aligned.
func table(w io.Writer, heading []string, rows [][]string) {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	printRow(tw, heading)
	for _, row := range rows {
		printRow(tw, row)
	}
	_ = tw.Flush() // into a bufio.Writer, which keeps the error
}

func printRow(w io.Writer, cells []string) {
	for i, c := range cells {
		if i > 0 {
			_, _ = io.WriteString(w, "\t")
		}
		_, _ = io.WriteString(w, clean(c))
	}
	_, _ = io.WriteString(w, "\n")
}

// clean makes text from anywhere safe for a terminal: what is not printable, or
// turns the direction of text, is shown as an escape.
func clean(s string) string {
	safe := func(r rune) bool {
		return r == '\n' || r != unicode.ReplacementChar && unicode.IsPrint(r) && !unicode.Is(unicode.Bidi_Control, r)
	}
	if strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if safe(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}

// cleanText is clean for the content of files, which may have tabs.
func cleanText(s string) string {
	parts := strings.Split(s, "\t")
	for i := range parts {
		parts[i] = clean(parts[i])
	}
	return strings.Join(parts, "\t")
}

// isTerminal reports whether somebody looks at f.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// ago prints a time as people say it.
func ago(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "never"
	}
	d := time.Since(*t)
	switch {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return t.Local().Format(time.DateOnly)
}

// shortID cuts an id to what people compare.
func shortID(id string) string { return id[:min(len(id), 10)] }
