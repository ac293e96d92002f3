package main

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
)

// sayWaitingFor lets a user wait for a lock that root holds. While they wait, root takes the role away, or not.
func (r *authRun) sayWaitingFor(isRevoked bool) error {
	what := fmt.Sprintf("wait for a lock, role revoked %v", isRevoked)
	token, err := r.logIn("its", passwordFor("its"))
	if err != nil {
		return err
	}
	held := &v3lockpb.LockResponse{}
	err = r.asRoot("lock", func(ctx context.Context) (err error) {
		held, err = r.locker.Lock(ctx, &v3lockpb.LockRequest{Name: []byte("k/room"), Lease: leaseInK})
		return err
	})
	if err != nil {
		return err
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := r.locker.Lock(withToken(r.ctx, token), &v3lockpb.LockRequest{Name: []byte("k/room"), Lease: leaseWithoutKeys})
		waiting <- err
	}()
	if err := r.untilKeys("k/room/", "k/room0", 2); err != nil {
		return err
	}
	time.Sleep(settleDown)
	if isRevoked {
		if err := r.asRoot("revoke", func(ctx context.Context) error { return revokeRoleFrom("its", "its")(r, ctx) }); err != nil {
			return err
		}
	}
	err = r.asRoot("unlock", func(ctx context.Context) error {
		_, err := r.locker.Unlock(ctx, &v3lockpb.UnlockRequest{Key: held.Key})
		return err
	})
	if err != nil {
		return err
	}
	select {
	case err := <-waiting:
		r.say("its", what, "OK", err)
	case <-time.After(authCallLimit):
		r.say("its", what, "still waiting", nil)
	}
	return r.asRoot("what is left", func(ctx context.Context) error {
		left, err := r.kv.Range(ctx, rangeOf("k/room/", "k/room0"))
		r.say("root", what+": what is left", rangeText(left), err)
		_, err = r.kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("k/room/"), RangeEnd: []byte("k/room0")})
		return err
	})
}

// untilKeys waits until a range holds so many keys.
func (r *authRun) untilKeys(key, end string, count int64) error {
	deadline := time.Now().Add(authCallLimit)
	for {
		found := int64(-1)
		err := r.asRoot("count", func(ctx context.Context) error {
			answer, err := r.kv.Range(ctx, rangeOf(key, end))
			found = answer.GetCount()
			return err
		})
		if err != nil || found == count {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d keys from %s, not %d", found, key, count)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// runAuthLeases shows that leases end while authentication is on: the server revokes them as root.
func runAuthLeases(r *authRun) error {
	for _, step := range []func() error{
		func() error { return r.addRole("its", permission(mayBoth, "k/", "k0")) },
		func() error { return r.addUser("its", "its") },
		func() error { return r.addRole("root") },
		func() error { return r.addUser("root", "root") },
		r.enable,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	token, err := r.logIn("its", passwordFor("its"))
	if err != nil {
		return err
	}
	ctx := withToken(r.ctx, token)
	for _, id := range []int64{0x401, 0x402} {
		granted, err := r.lease.LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: id, TTL: 2})
		r.say("its", fmt.Sprintf("grant %x", id), fmt.Sprintf("for %d s", granted.GetTTL()), err)
		put, err := r.kv.Put(ctx, &pb.PutRequest{Key: fmt.Appendf(nil, "k/%x", id), Value: []byte("short"), Lease: id})
		r.say("its", fmt.Sprintf("put under %x", id), putText(put), err)
	}
	// What its owner may no longer write, ends as well.
	if err := r.asRoot("revoke", func(ctx context.Context) error { return revokeFrom("its", "k/", "k0")(r, ctx) }); err != nil {
		return err
	}
	err = r.untilKeys("k/", "k0", 0)
	r.say("root", "the leases' keys are gone", "OK", err)
	return r.asRoot("leases", func(ctx context.Context) error {
		left, err := r.lease.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
		r.say("root", "leases left", fmt.Sprint(len(left.GetLeases())), err)
		return err
	})
}
