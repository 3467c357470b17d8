package integration_test

import "testing"

// A program that has a file open for writing starts others, which inherit its
// descriptors and close them on the way to be another program. That must not
// stop either, and what is written is there in the end.
func TestStartProgramsWhileWriting(t *testing.T) {
	t.Parallel()
	need(t, "python3")
	v := newVault(t, "ada")
	v.sh(`timeout -s KILL 30 python3 -c '
import subprocess
for name, size in (("small.json", 0), ("large.bin", 3 << 20)):
    f = open(name, "wb")
    f.write(b"{\"a\": 1}" + b" " * size)
    f.flush()
    for _ in range(3):
        subprocess.run(["true"], close_fds=False, check=True)
    f.write(b"\n")
    f.close()
'`)
	if got := v.sh(`wc -c < large.bin; tail -c 1 large.bin | od -An -c; cat small.json`); got != "3145737\n  \\n\n{\"a\": 1}\n" {
		t.Errorf("got %q, want what was written", got)
	}
}
