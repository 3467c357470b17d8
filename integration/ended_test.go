package integration_test

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// The daemon dies, or stands still and then dies, at any moment, while programs
// read, write, list and watch, and the changes of others are played to those who
// watch. Every process can be ended, and the next daemon goes on.
func TestNobodyHangs(t *testing.T) {
	t.Parallel()
	need(t, "inotifywait")
	ada, bob := pair(t)
	ada.sh(`echo '{"n":0}' > f.json; mkdir d`)
	eventually(t, "bob has the file", patience, func() error { return want(bob.shell("cat f.json; cd d"), 0) })
	rounds := 3
	if soak() {
		rounds = 30
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	changes := follow(t, 10*time.Minute, append(bob.env(), "HERE="+bob.here()), "bash", "-c",
		`cd "$HERE"; i=0; while :; do i=$((i+1)); echo "{\"n\":$i}" > f.json; echo $i > d/t$((i%9)).md; mv d/t$((i%9)).md d/u$((i%5)).md; rm -f d/u$((i%3)).md; echo "{}"; done`)
	defer changes.cancel()
	for round := range rounds {
		var programs []*exec.Cmd
		ended := make(chan error, 10)
		events := ada.inotify("-r .")
		for _, script := range []string{
			`while :; do cat f.json d/*; done`, `while :; do echo '{"mine":1}' > g.json; echo x > .local; done`,
			`while :; do ls -lR; done`, `exec tail -F f.json`, `exec 5<> h.json; while :; do echo '{}' >&5; done`,
		} {
			cmd := exec.Command("bash", "-c", `cd "$HERE" && exec > /dev/null 2>&1 && `+script)
			cmd.Env = append(ada.env(), "HERE="+ada.here())
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			programs = append(programs, cmd)
			go func() { ended <- cmd.Wait() }()
		}
		events.expect("CLOSE_WRITE,CLOSE ./f.json")
		for range rnd.IntN(40) { // any moment: after some changes more
			var one struct{}
			changes.next(&one)
		}
		if round%2 == 1 {
			ada.signal(syscall.SIGSTOP)
			var one struct{}
			for range 10 {
				changes.next(&one)
			}
		}
		ada.kill9()
		for _, cmd := range programs {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		deadline := time.After(patience)
		for range programs {
			select {
			case <-ended:
			case <-deadline:
				t.Fatal("a program cannot be ended")
			}
		}
		events.stop()
		eventually(t, "the helper of the dead daemon has ended", patience, func() error {
			if n := len(processesOf(ada.data)); n > 0 {
				return fmt.Errorf("%d processes of it live", n)
			}
			return nil
		})
		ada.start(ada.online...)
		ada.sh(`cat f.json > /dev/null`)
	}
	ada.fsck()
}

// processesOf lists the processes of the program with a word in their environment.
func processesOf(word string) (found []string) {
	for _, p := range processes() {
		if environmentHas(p, word) {
			found = append(found, p)
		}
	}
	return found
}
