package integration_test

import (
	"fmt"
	"strings"
	"testing"
)

// blobSize is how large the file is that is moved while daemons are killed.
func blobSize() int {
	if soak() {
		return 64 << 20
	}
	return 12 << 20
}

// TestABlobComesThroughKills moves a large file between two daemons, each of
// which is killed in the midst of it.
func TestABlobComesThroughKills(t *testing.T) {
	ada, bob := pair(t)
	ada.sh(fmt.Sprintf("head -c %d /dev/urandom > big.bin", blobSize()))
	want := ada.sh("sha256sum < big.bin")
	for _, v := range []*vault{bob, ada} {
		eventually(t, "the file is known", patience, func() error {
			if r := bob.shell("test -e big.bin"); r.code != 0 {
				return fmt.Errorf("not there: %s", r)
			}
			return nil
		})
		v.kill9()
		v.restart()
	}
	eventually(t, "the content has come", 2*patience, func() error {
		if r := bob.shell("sha256sum < big.bin"); r.code != 0 || r.stdout != want {
			return fmt.Errorf("got %s, want %q", r, want)
		}
		return nil
	})
	// It is written at the other end by range, and comes back.
	bob.sh("printf changed | dd of=big.bin bs=1 seek=5000000 conv=notrunc status=none")
	want = bob.sh("sha256sum < big.bin")
	eventually(t, "the change has come back", patience, func() error {
		if r := ada.shell("sha256sum < big.bin"); r.code != 0 || r.stdout != want {
			return fmt.Errorf("got %s, want %q", r, want)
		}
		return nil
	})
}

// TestProgramsKeepTheirFiles lets programs work in a space that trust their file
// system: databases, version control, archives.
func TestProgramsKeepTheirFiles(t *testing.T) {
	need(t, "sqlite3", "git", "tar")
	v := newVault(t, "ada")
	for _, mode := range []string{"delete", "wal"} {
		v.sh("f=" + mode + ".db; sqlite3 $f 'pragma journal_mode=" + mode + "; create table t(n integer primary key, s text);' > /dev/null\n" +
			"for i in 1 2 3 4 5; do sqlite3 $f \"insert into t(s) select hex(randomblob(200)) from generate_series(1,50)\"; done\n" +
			"test \"$(sqlite3 $f 'select count(*) from t; pragma integrity_check')\" = \"$(printf '250\\nok')\"")
		if kind := v.stat(mode + ".db").Kind; kind != "blob" {
			t.Errorf("%s.db is of kind %q", mode, kind)
		}
	}
	v.sh(`export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
		src=$(mktemp -d); git init -q $src; for i in 1 2 3; do head -c 50000 /dev/urandom > $src/f$i; git -C $src add .; git -C $src commit -qm $i; done
		git clone -q $src clone; git -C clone fsck --full; git -C clone gc -q; git -C clone fsck --full; diff -r -x .git $src clone
		tar -C $src -cf all.tar f1 f2 f3; mkdir out; tar -C out -xf all.tar; cmp $src/f2 out/f2; rm -rf $src`)
	v.restart()
	v.sh("sqlite3 wal.db 'pragma integrity_check'; git -C clone fsck --full; tar -tf all.tar")
	if left := strings.TrimSpace(v.sh("ls clone/.git/objects/pack | grep -c tmp_ || true")); left != "0" {
		t.Errorf("%s temporary packs are left", left)
	}
}
