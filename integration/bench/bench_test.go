package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestQuantiles(t *testing.T) {
	var hundred samples
	for n := range 100 {
		hundred = append(hundred, time.Duration(100-n)*time.Millisecond)
	}
	for _, c := range []struct {
		s                samples
		min, median, p99 time.Duration
		text             string
	}{
		{nil, 0, 0, 0, "–"},
		{samples{5 * time.Microsecond}, 5000, 5000, 5000, "5.00 / 5.00 / 5.00 µs"},
		{samples{3e9, 1e9, 2e9}, 1e9, 2e9, 3e9, "1.00 / 2.00 / 3.00 s"},
		{hundred, 1e6, 50e6, 99e6, "1.00 / 50.0 / 99.0 ms"},
	} {
		if c.s.min() != c.min || c.s.median() != c.median || c.s.p99() != c.p99 {
			t.Errorf("%v: got %v, %v, %v, want %v, %v, %v", c.s, c.s.min(), c.s.median(), c.s.p99(), c.min, c.median, c.p99)
		}
		if got := c.s.String(); got != c.text {
			t.Errorf("got %q, want %q", got, c.text)
		}
	}
	if got, want := ratio(samples{30, 20, 50}, samples{20, 5}), "6.00× (4.00×)"; got != want {
		t.Errorf("ratio: got %s, want %s", got, want)
	}
}

func TestBetweenMarkers(t *testing.T) {
	doc := "# Title\n" + everything.begin + "\nold\n" + everything.end + "\nend\n"
	got, err := everything.between([]byte(doc), "| new |\n")
	if want := "# Title\n" + everything.begin + "\n| new |\n" + everything.end + "\nend\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	again, err := everything.between(got, "| new |\n")
	if err != nil || !bytes.Equal(again, got) {
		t.Errorf("the second time: got %q, %v, want %q", again, err, got)
	}
	for _, bad := range []string{"", everything.begin + "\n", everything.end} {
		if _, err := everything.between([]byte(bad), "x"); !errors.Is(err, errNoMarks) {
			t.Errorf("between(%q): got %v, want %v", bad, err, errNoMarks)
		}
	}
}

// do has a worker do a job in this process.
func do(t *testing.T, j job) samples {
	t.Helper()
	order, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := work(bytes.NewReader(order), &out); err != nil {
		t.Fatal(err)
	}
	var s samples
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWork(t *testing.T) {
	dir := t.TempDir()
	if got := do(t, job{Op: "create", Dir: dir, From: 3, Count: 4}); len(got) != 4 {
		t.Errorf("create: got %d samples, want 4", len(got))
	}
	got, err := os.ReadFile(filepath.Join(dir, fileName(6)))
	if err != nil || !bytes.Equal(got, object(6, 0)) || !json.Valid(got) || len(got) < 180 || len(got) > 260 {
		t.Errorf("file 6: got %q, %v, want about 200 bytes of JSON", got, err)
	}
	do(t, job{Op: "save", Dir: dir, From: 0, Count: 3, Sync: true})
	if n, err := counter(filepath.Join(dir, savedName)); n != 2 || err != nil {
		t.Errorf("after three saves: got counter %d, %v, want 2", n, err)
	}
	// A file that is saved here is seen here.
	if got := do(t, job{Op: "see", Dir: dir, There: dir, From: 10, Count: 2}); len(got) != 2 || got.min() <= 0 {
		t.Errorf("see: got %v, want two durations", got)
	}
	order := strings.NewReader(`{"Op":"create","Dir":"` + dir + `","From":3,"Count":1}`)
	if err := work(order, new(bytes.Buffer)); !errors.Is(err, os.ErrExist) {
		t.Errorf("create once more: got %v, want %v", err, os.ErrExist)
	}
}

func TestReportNamesNoPlace(t *testing.T) {
	dir := t.TempDir()
	var r report
	r.begin(dir, true)
	f := newFigure("create")
	f.times["disk"], f.times["bare"], f.times["echofs"] = samples{1000}, samples{2000}, samples{5000}
	f.cpu, f.count = 4000, 1
	r.compare(f)
	text := r.markdown()
	want := "| create | 1.00 / 1.00 / 1.00 µs | 2.00 / 2.00 / 2.00 µs | 5.00 / 5.00 / 5.00 µs | 2.50× (2.50×) | 5.00× (5.00×) | 4.00 µs |\n"
	if !strings.Contains(text, want) {
		t.Errorf("got %s\nwant a line %s", text, want)
	}
	host, _ := os.Hostname()
	for _, secret := range []string{dir, host + " "} {
		if strings.Contains(text, secret) {
			t.Errorf("the report contains %q", secret)
		}
	}
}
