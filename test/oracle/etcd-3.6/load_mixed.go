package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// mixedLeaseTTL is long enough that no lease ends while a test runs.
const mixedLeaseTTL = 24 * 3600

// mixedWriter does one operation after the other, so on a fresh server the same seed gives the
// same revisions, the same lease ids and the same values.
type mixedWriter struct {
	client  *clientv3.Client
	leaser  pb.LeaseClient
	options loadOptions
	random  *rand.Rand
	report  *loadReport
	leases  []clientv3.LeaseID
}

// writeMixed does a little of everything that leaves a trace in a member's files.
func writeMixed(ctx context.Context, options loadOptions, report *loadReport) error {
	client, err := dial(options)
	if err != nil {
		return err
	}
	defer client.Close()
	writer := &mixedWriter{
		client:  client,
		leaser:  pb.NewLeaseClient(client.ActiveConnection()),
		options: options,
		random:  rand.New(rand.NewPCG(options.seed, 0)),
		report:  report,
	}
	if options.users {
		if err := writer.makeUsers(ctx); err != nil {
			return err
		}
	}
	for number := range options.operations {
		if err := writer.step(ctx, number); err != nil {
			return fmt.Errorf("operation %d: %w", number, err)
		}
	}
	if options.auth {
		if _, err := client.AuthEnable(ctx); err != nil {
			return err
		}
		report.Auth = true
	}
	return nil
}

// step does operation number: the rare kinds come at fixed numbers, so that even a short run
// has each of them, and the rest is drawn by lot.
func (w *mixedWriter) step(ctx context.Context, number int) error {
	switch {
	case w.options.leases && number%20 == 3:
		return w.grant(ctx)
	case w.options.leases && number%60 == 47 && len(w.leases) > 1:
		return w.revoke(ctx)
	case w.options.compact && number%80 == 70:
		return w.compact(ctx)
	case number%40 == 25:
		return w.deleteRange(ctx, w.options.prefix+"b/", clientv3.GetPrefixRangeEnd(w.options.prefix+"b/"))
	case number%40 == 31:
		return w.put(ctx, w.key(), strings.Repeat("large ", 1000+w.random.IntN(3000)))
	}
	switch draw := w.random.IntN(100); {
	case draw < 60:
		return w.put(ctx, w.key(), w.value())
	case draw < 75:
		return w.deleteRange(ctx, w.key(), "")
	case draw < 85:
		return w.swap(ctx)
	case draw < 93:
		return w.compareAndWrite(ctx)
	default:
		return w.putThenDelete(ctx)
	}
}

// key is one of few enough keys that most are rewritten and deleted again; some are not text.
func (w *mixedWriter) key() string {
	index := w.random.IntN(max(4, w.options.operations/4))
	switch index % 10 {
	case 8:
		return w.options.prefix + "b/" + fmt.Sprintf("key-%04d", index)
	case 9:
		return w.options.prefix + string([]byte{0xff, byte(index), 0x00, byte(index >> 8)})
	default:
		return w.options.prefix + "a/" + fmt.Sprintf("key-%04d", index)
	}
}

// value is short, at times empty and at times not text.
func (w *mixedWriter) value() string {
	value := make([]byte, w.random.IntN(120))
	for at := range value {
		value[at] = byte(w.random.Uint32())
	}
	if w.random.IntN(4) > 0 {
		return fmt.Sprintf("value %x", value)
	}
	return string(value)
}

func (w *mixedWriter) put(ctx context.Context, key, value string) error {
	var options []clientv3.OpOption
	if len(w.leases) > 0 && w.random.IntN(4) == 0 {
		options = append(options, clientv3.WithLease(w.leases[w.random.IntN(len(w.leases))]))
	}
	response, err := w.client.Put(ctx, key, value, options...)
	if err != nil {
		return err
	}
	w.report.Puts++
	w.report.ValueBytes += int64(len(value))
	w.report.Revision = response.Header.Revision
	return nil
}

func (w *mixedWriter) deleteRange(ctx context.Context, key, end string) error {
	response, err := w.client.Delete(ctx, key, clientv3.WithRange(end))
	if err != nil {
		return err
	}
	w.report.Deletes++
	w.report.Revision = response.Header.Revision
	return nil
}

func (w *mixedWriter) txn(ctx context.Context, compare []clientv3.Cmp, then, otherwise []clientv3.Op) error {
	response, err := w.client.Txn(ctx).If(compare...).Then(then...).Else(otherwise...).Commit()
	if err != nil {
		return err
	}
	w.report.Txns++
	w.report.Revision = response.Header.Revision
	return nil
}

// swap deletes one key and puts others within one revision; etcd refuses to put a key that the
// same transaction deletes before.
func (w *mixedWriter) swap(ctx context.Context) error {
	gone, made := w.key(), w.key()
	then := []clientv3.Op{clientv3.OpDelete(gone), clientv3.OpPut(w.options.prefix+"last-swapped", gone)}
	if made != gone {
		then = append(then, clientv3.OpPut(made, w.value()))
	}
	return w.txn(ctx, nil, then, nil)
}

// compareAndWrite takes the one branch or the other, depending on whether the key is there.
func (w *mixedWriter) compareAndWrite(ctx context.Context) error {
	key := w.key()
	return w.txn(ctx,
		[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", 0)},
		[]clientv3.Op{clientv3.OpGet(key), clientv3.OpPut(key, "made: "+w.value())},
		[]clientv3.Op{clientv3.OpPut(key, "changed: "+w.value()), clientv3.OpPut(w.options.prefix+"last-changed", key)})
}

// putThenDelete writes a key and deletes it again within one revision. Only nested transactions
// get that past etcd's check for keys that are named twice.
func (w *mixedWriter) putThenDelete(ctx context.Context) error {
	key := w.key()
	return w.txn(ctx, nil, []clientv3.Op{
		clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpPut(key, "for a moment")}, nil),
		clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpDelete(key)}, nil),
	}, nil)
}

// grant asks for a lease under an id of its own choice; the ids lie above 2^53 as the server's
// own do, and every third is negative as an int64.
func (w *mixedWriter) grant(ctx context.Context) error {
	id := int64(w.random.Uint64()>>2 | 1<<61)
	if len(w.leases)%3 == 2 {
		id = -id
	}
	if _, err := w.leaser.LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: id, TTL: mixedLeaseTTL}); err != nil {
		return err
	}
	w.leases = append(w.leases, clientv3.LeaseID(id))
	w.report.LeasesGranted++
	return w.put(ctx, w.key(), "leased")
}

// revoke deletes the oldest lease's keys in one revision, if there are any.
func (w *mixedWriter) revoke(ctx context.Context) error {
	response, err := w.client.Revoke(ctx, w.leases[0])
	if err != nil {
		return err
	}
	w.leases = w.leases[1:]
	w.report.LeasesRevoked++
	w.report.Revision = response.Header.Revision
	return nil
}

// compact forgets the older part of what is still there and waits until the server has done it.
func (w *mixedWriter) compact(ctx context.Context) error {
	at := w.report.CompactRevision + (w.report.Revision-w.report.CompactRevision)*2/3
	if at <= w.report.CompactRevision {
		return nil
	}
	if _, err := w.client.Compact(ctx, at, clientv3.WithCompactPhysical()); err != nil {
		return err
	}
	w.report.CompactRevision = at
	w.report.Compactions++
	return nil
}

// makeUsers leaves two roles, one of them with permissions, and three users, one without a password.
func (w *mixedWriter) makeUsers(ctx context.Context) error {
	client, prefix := w.client, w.options.prefix
	for _, role := range []string{"root", "writer"} {
		if _, err := client.RoleAdd(ctx, role); err != nil {
			return err
		}
		w.report.Roles++
	}
	readWrite, read := clientv3.PermissionType(clientv3.PermReadWrite), clientv3.PermissionType(clientv3.PermRead)
	if _, err := client.RoleGrantPermission(ctx, "writer", prefix, clientv3.GetPrefixRangeEnd(prefix), readWrite); err != nil {
		return err
	}
	if _, err := client.RoleGrantPermission(ctx, "writer", "config", "", read); err != nil {
		return err
	}
	for _, user := range []string{"root", "ann"} {
		if _, err := client.UserAdd(ctx, user, user); err != nil {
			return err
		}
		w.report.Users++
	}
	if _, err := client.UserAddWithOptions(ctx, "certificate-only", "", &clientv3.UserAddOptions{NoPassword: true}); err != nil {
		return err
	}
	w.report.Users++
	if _, err := client.UserGrantRole(ctx, "root", "root"); err != nil {
		return err
	}
	_, err := client.UserGrantRole(ctx, "ann", "writer")
	return err
}
