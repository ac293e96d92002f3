package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

type kubeFlags struct {
	endpoint  string
	duration  time.Duration
	compact   time.Duration
	relist    time.Duration
	objects   int
	watchers  int
	leases    int
	valueSize int
}

// kubeReport is the one line of JSON on stdout.
type kubeReport struct {
	Writes      int64   `json:"writes"`
	Lists       int64   `json:"lists"`
	Events      int64   `json:"events"`
	Missed      int64   `json:"missed"`
	KeepAlives  int64   `json:"keepAlives"`
	Compactions int64   `json:"compactions"`
	Seconds     float64 `json:"seconds"`
}

// runKube does what a kube-apiserver does all day: objects are created, changed under a condition, and
// deleted again at a level number; each cache lists at a revision, watches from it, and starts afresh now and
// then; leases carry events; the past is compacted regularly. It fails when a watch misses a revision of a
// key, and its end is a state as large as its beginning.
func runKube(args []string) {
	var options kubeFlags
	flags := flag.NewFlagSet("kube", flag.ExitOnError)
	flags.StringVar(&options.endpoint, "endpoint", "", "client URL on 127.0.0.1")
	flags.DurationVar(&options.duration, "duration", 20*time.Second, "how long")
	flags.DurationVar(&options.compact, "compact", 5*time.Second, "time between compactions")
	flags.DurationVar(&options.relist, "relist", 4*time.Second, "time after which a cache lists and watches afresh")
	flags.IntVar(&options.objects, "objects", 1000, "objects at any time")
	flags.IntVar(&options.watchers, "watchers", 20, "caches")
	flags.IntVar(&options.leases, "leases", 50, "leases at any time")
	flags.IntVar(&options.valueSize, "value-size", 2000, "bytes of an object")
	_ = flags.Parse(args) // ExitOnError: it does not come back with one
	requireLocal("kube", options.endpoint, flags.NArg())
	if options.objects < 8 || options.watchers < 1 || options.leases < 1 {
		fmt.Fprintln(os.Stderr, "kube: at least eight objects, a cache and a lease")
		os.Exit(2)
	}
	run := &kubeRun{options: options}
	finish("kube", &run.report, run.run())
}

type kubeRun struct {
	options kubeFlags
	report  kubeReport
	clients []*clientv3.Client
}

func (k *kubeRun) run() error {
	clients, closeAll, err := connectAll(k.options.endpoint, 4)
	if err != nil {
		return err
	}
	defer closeAll()
	k.clients = clients
	start := time.Now()
	timed, cancelTimed := context.WithTimeout(context.Background(), k.options.duration)
	defer cancelTimed()
	ctx, fail := context.WithCancelCause(timed)
	defer fail(nil)
	var loops sync.WaitGroup
	loop := func(body func(context.Context) error) {
		loops.Go(func() {
			if err := body(ctx); err != nil && timed.Err() == nil {
				fail(err)
			}
		})
	}
	for number := range 4 {
		loop(func(ctx context.Context) error { return k.write(ctx, number) })
	}
	for number := range k.options.watchers {
		loop(func(ctx context.Context) error { return k.cache(ctx, clients[number%len(clients)]) })
	}
	loop(k.lease)
	loop(k.compact)
	loops.Wait()
	k.report.Seconds = time.Since(start).Seconds()
	if timed.Err() == nil {
		return context.Cause(ctx)
	}
	return nil
}

// write owns a quarter of the objects and goes round them: create, change under a condition, delete.
func (k *kubeRun) write(ctx context.Context, number int) error {
	client, filler := k.clients[number], strings.Repeat("o", k.options.valueSize)
	revisions := map[string]int64{}
	for round := 0; ctx.Err() == nil; round++ {
		key := fmt.Sprintf("/registry/pods/ns/pod-%d-%d", number, round%(k.options.objects/4))
		change := clientv3.OpPut(key, fmt.Sprintf("%020d%s", round, filler))
		if revisions[key] != 0 && round%10 == 9 {
			change = clientv3.OpDelete(key)
		}
		response, err := client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(key), "=", revisions[key])).
			Then(change).Else(clientv3.OpGet(key)).Commit()
		if err != nil {
			return err
		}
		if !response.Succeeded {
			return fmt.Errorf("%s is not at revision %d", key, revisions[key])
		}
		revisions[key] = response.Header.Revision
		if change.IsDelete() {
			delete(revisions, key)
		}
		atomic.AddInt64(&k.report.Writes, 1)
		time.Sleep(4 * time.Millisecond)
	}
	return nil
}

// cache lists and watches from there, and checks the version of each key it is shown against the one it has.
func (k *kubeRun) cache(ctx context.Context, client *clientv3.Client) error {
	for ctx.Err() == nil {
		versions := map[string]int64{}
		from, revision := "/registry/", int64(0)
		for isMore := true; isMore; {
			page, err := client.Get(ctx, from, clientv3.WithRange("/registry0"), clientv3.WithLimit(500), clientv3.WithRev(revision))
			if err != nil {
				return err
			}
			if revision == 0 {
				revision = page.Header.Revision
			}
			for _, kv := range page.Kvs {
				versions[string(kv.Key)] = kv.Version
				from = string(kv.Key) + "\x00"
			}
			isMore = page.More
		}
		atomic.AddInt64(&k.report.Lists, 1)
		watching, stop := context.WithTimeout(ctx, k.options.relist)
		channel := client.Watch(watching, "/registry/", clientv3.WithPrefix(), clientv3.WithRev(revision+1), clientv3.WithPrevKV())
		for response := range channel {
			if err := response.Err(); err != nil && watching.Err() == nil {
				stop()
				return err
			}
			for _, event := range response.Events {
				key := string(event.Kv.Key)
				if event.Kv.Version != 0 && event.Kv.Version != versions[key]+1 {
					atomic.AddInt64(&k.report.Missed, 1)
				}
				versions[key] = event.Kv.Version
				atomic.AddInt64(&k.report.Events, 1)
			}
		}
		stop()
	}
	return nil
}

// lease keeps a level number of short-lived leases, each with an event attached.
func (k *kubeRun) lease(ctx context.Context) error {
	client := k.clients[0]
	var leases []clientv3.LeaseID
	for number := 0; ctx.Err() == nil; number++ {
		granted, err := client.Grant(ctx, 30)
		if err != nil {
			return err
		}
		leases = append(leases, granted.ID)
		key := fmt.Sprintf("/registry/events/ns/event-%d", number)
		if _, err := client.Put(ctx, key, "event", clientv3.WithLease(granted.ID)); err != nil {
			return err
		}
		if _, err := client.KeepAliveOnce(ctx, leases[0]); err != nil {
			return err
		}
		atomic.AddInt64(&k.report.KeepAlives, 1)
		if len(leases) > k.options.leases {
			if _, err := client.Revoke(ctx, leases[0]); err != nil {
				return err
			}
			leases = leases[1:]
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// compact forgets what was there at the compaction before.
func (k *kubeRun) compact(ctx context.Context) error {
	client, previous := k.clients[1], int64(0)
	ticker := time.NewTicker(k.options.compact)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now, err := client.Get(ctx, "/registry/none")
		if err != nil {
			return err
		}
		if previous > 0 {
			if _, err := client.Compact(ctx, previous); err != nil {
				return err
			}
			atomic.AddInt64(&k.report.Compactions, 1)
		}
		previous = now.Header.Revision
	}
}
