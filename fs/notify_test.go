package fs_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"echofs/echo"
	"echofs/echo/echotest"
	"echofs/fs"
)

// A save tells the kernel once: that is a large part of what it costs.
func TestSavesTellTheKernelOnce(t *testing.T) {
	const count = 40
	m := mountUnsettled(t)
	m.sh(`i=0; while [ $i -lt ` + strconv.Itoa(count) + ` ]; do echo "{\"n\":$i}" > f$i.json; i=$((i+1)); done`)
	made := m.fsys.Told()
	if limit := int64(count * 2); made > limit { // the directory's times are told of too
		t.Errorf("%d notifications for %d new files, want at most %d", made, count, limit)
	}
	m.sh(`i=0; while [ $i -lt ` + strconv.Itoa(count) + ` ]; do echo "{\"m\":$i}" > f0.json; i=$((i+1)); done`)
	m.want(`cat f0.json`, "{\"m\":"+strconv.Itoa(count-1)+"}\n")
	if got, limit := m.fsys.Told()-made, int64(count+count/4); got > limit {
		t.Errorf("%d notifications for %d saves, want at most %d", got, count, limit)
	}
}

// mountUnsettled mounts a vault in which nothing settles by itself.
func mountUnsettled(t *testing.T) *mounted {
	t.Helper()
	v := echotest.NewVault(t, "ada", echo.Options{RemoveGrace: echo.DefaultRemoveGrace, SettleDelay: time.Hour})
	return mountVault(t, v, newSpace(t, v, "notes"), fs.Options{})
}

// That a new object becomes a document changes nothing that programs see.
func TestSettlingShowsNothing(t *testing.T) {
	m := mountUnsettled(t)
	m.sh(`echo '{"a":1}' > t.json`)
	const times = `stat -c '%.Y %.Z %s' t.json`
	before := m.sh(times)
	told := m.fsys.Told()
	m.settle("t.json")
	if n := m.node("t.json"); n.Stage != echo.Settled {
		t.Fatalf("stage %v, want settled", n.Stage)
	}
	if got := m.sh(times); got != before {
		t.Errorf("times and size %q, want %q", strings.TrimSpace(got), strings.TrimSpace(before))
	}
	// Whoever changes the content without asking for quiet is told of.
	m.saveElsewhere("t.json", `{"a":2}`)
	eventually(t, "the kernel hears of a save", func() bool { return m.fsys.Told() > told })
	if got := m.fsys.Told() - told; got > 2 {
		t.Errorf("%d notifications, want one for the save and none for settling", got)
	}
	m.want(`cat t.json`, `{"a":2}`)
}
