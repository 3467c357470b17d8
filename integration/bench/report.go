package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// marks are the lines of a file between which figures stand.
type marks struct{ begin, end string }

// The marks of the two reports.
var (
	everything = marks{"<!-- bench: begin -->", "<!-- bench: end -->"}
	meshPart   = marks{"<!-- bench mesh: begin -->", "<!-- bench mesh: end -->"}
)

// report gathers the figures. It names no machine and no directory.
type report struct {
	conditions string
	compared   []*figure
	facts      [][2]string
	merges     []*mergeCosts
	memory     []memory
}

// memory is what the processes took, in bytes.
type memory struct {
	after                string
	own, workers, ofBare int64
}

// begin notes under which conditions the run takes place.
func (r *report) begin(room string, short bool) {
	kernel, disk := "unknown", "unknown"
	var uts unix.Utsname
	if err := unix.Uname(&uts); err == nil {
		kernel = versionNumber(unix.ByteSliceToString(uts.Release[:]))
	}
	var st unix.Statfs_t
	if err := unix.Statfs(room, &st); err == nil {
		disk = diskNames[int64(st.Type)]
	}
	r.conditions = fmt.Sprintf("%s, Linux %s, %d processors, %s, disk: %s", time.Now().UTC().Format(time.DateOnly),
		kernel, runtime.NumCPU(), runtime.Version(), disk)
	if short {
		r.conditions += "; a short run, with a tenth of the work"
	}
}

// diskNames are the file systems that people have vaults on.
var diskNames = map[int64]string{unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs",
	unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs"}

// versionNumber cuts off what the builder of a kernel has added.
func versionNumber(release string) string {
	number, _, _ := strings.Cut(release, "-")
	return number
}

func (r *report) compare(f *figure) { r.compared = append(r.compared, f) }

func (r *report) fact(what, format string, args ...any) {
	r.facts = append(r.facts, [2]string{what, fmt.Sprintf(format, args...)})
}

// markdown is the report as it is printed.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. Times are minimum / median / 99th percentile; ratios are of medians, in parentheses of minima.\n\n", r.conditions)
	b.WriteString("| | disk | bare FUSE | echofs | echofs : bare | echofs : disk | daemon's processor time |\n|---|---|---|---|---|---|---|\n")
	for _, f := range r.compared {
		disk, bare, own := f.times["disk"], f.times["bare"], f.times["echofs"]
		fmt.Fprintf(&b, "| %s | %v | %v | %v | %s | %s | %s |\n", f.what, disk, bare, own, ratio(own, bare), ratio(own, disk), f.used())
	}
	b.WriteString("\n| | |\n|---|---|\n")
	for _, f := range r.facts {
		fmt.Fprintf(&b, "| %s | %s |\n", f[0], f[1])
	}
	b.WriteString("\n| saves before | a save | based on the version before the last save | based on the first version | refused |\n|---|---|---|---|---|\n")
	for _, m := range r.merges {
		fmt.Fprintf(&b, "| %d | %v | %v | %v | %d of %d |\n", m.length, m.current, m.last, m.oldest,
			m.refused, len(m.current)+len(m.last)+len(m.oldest))
	}
	b.WriteString("\n| memory after | daemon | its workers | bare FUSE |\n|---|---|---|---|\n")
	for _, m := range r.memory {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", m.after, mib(m.own), mib(m.workers), mib(m.ofBare))
	}
	return b.String()
}

// meshMarkdown is the report of the mesh as it is printed.
func (r *report) meshMarkdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. Times are minimum / median / 99th percentile.\n\n| | |\n|---|---|\n", r.conditions)
	for _, f := range r.facts {
		fmt.Fprintf(&b, "| %s | %s |\n", f[0], f[1])
	}
	return b.String()
}

// used is the processor time of the daemon for one operation.
func (f *figure) used() string {
	if f.count == 0 {
		return "–"
	}
	return samples{f.cpu / time.Duration(f.count)}.one()
}

// one prints a single duration.
func (s samples) one() string {
	text := s.String()
	_, text, _ = strings.Cut(text, " / ")
	_, text, _ = strings.Cut(text, " / ")
	return text
}

func mib(n int64) string { return fmt.Sprintf("%s MiB", short(float64(n)/(1<<20))) }

// replaceBetween puts text between the markers of a file.
func (m marks) replace(name, text string) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	next, err := m.between(old, text)
	if err != nil {
		return fmt.Errorf("write figures into %s: %w", name, err)
	}
	return os.WriteFile(name, next, 0o644)
}

var errNoMarks = errors.New("the markers are missing")

// between returns a document with text instead of what stood between its
// markers.
func (m marks) between(old []byte, text string) ([]byte, error) {
	head, rest, ok := bytes.Cut(old, []byte(m.begin+"\n"))
	if !ok {
		return nil, errNoMarks
	}
	_, tail, ok := bytes.Cut(rest, []byte(m.end))
	if !ok {
		return nil, errNoMarks
	}
	return fmt.Appendf(nil, "%s%s\n%s%s%s", head, m.begin, text, m.end, tail), nil
}
