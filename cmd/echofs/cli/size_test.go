package cli

import "testing"

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "500M": 500 << 20, "64GiB": 64 << 30, "2tb": 2 << 40, " 3k ": 3 << 10,
		"": 0, "0": 0, "-1": 0, "x": 0, "9999999T": 0, "1.5G": 0, "GiB": 0} {
		var s byteCount
		err := s.Set(text)
		if int64(s) != want || (err == nil) != (want > 0) {
			t.Errorf("%q is %d, %v, want %d", text, int64(s), err, want)
		}
		if err != nil {
			continue
		}
		var again byteCount
		if err := again.Set(s.String()); err != nil || again != s {
			t.Errorf("%q is printed as %q, which is %d, %v", text, s.String(), int64(again), err)
		}
	}
}
