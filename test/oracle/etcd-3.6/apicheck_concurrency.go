package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/client/v3/namespace"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc/status"
)

// grantAll makes leases of a minute under fixed ids.
func (c *apiCheck) grantAll(ids ...int64) error {
	for _, id := range ids {
		if _, err := pb.NewLeaseClient(c.conn).LeaseGrant(c.ctx, &pb.LeaseGrantRequest{ID: id, TTL: 60}); err != nil {
			return err
		}
	}
	return nil
}

// isWaiting says whether nothing comes for a while.
func isWaiting[T any](channel <-chan T) bool {
	select {
	case <-channel:
		return false
	case <-time.After(300 * time.Millisecond):
		return true
	}
}

func checkLock(c *apiCheck) error {
	if err := c.grantAll(0xaa, 0xbb, 0xcc); err != nil {
		return err
	}
	locker := v3lockpb.NewLockClient(c.conn)
	lock := func(step, name string, lease int64) *v3lockpb.LockResponse {
		response, err := locker.Lock(c.ctx, &v3lockpb.LockRequest{Name: []byte(name), Lease: lease})
		c.say(step, response, err)
		return response
	}
	unlock := func(step string, key []byte) {
		response, err := locker.Unlock(c.ctx, &v3lockpb.UnlockRequest{Key: key})
		c.say(step, response, err)
	}
	first := lock("lock", "door", 0xaa)
	if first == nil {
		return errors.New("nothing was locked")
	}
	lock("lock again with the same lease", "door", 0xaa)
	lock("another name", "gate", 0xaa)
	c.everything("locked")
	second := make(chan *v3lockpb.LockResponse, 1)
	go func() {
		response, _ := locker.Lock(c.ctx, &v3lockpb.LockRequest{Name: []byte("door"), Lease: 0xbb})
		second <- response // nil after an error
	}()
	c.say("the second waits", isWaiting(second), nil)
	short, cancel := context.WithTimeout(c.ctx, 200*time.Millisecond)
	_, err := locker.Lock(short, &v3lockpb.LockRequest{Name: []byte("door"), Lease: 0xcc})
	cancel()
	// Whether the client or the server notices first, and so the text, is a matter of chance.
	c.say("the third gives up", status.Code(err).String(), nil)
	time.Sleep(200 * time.Millisecond)
	c.everything("the third has left nothing")
	unlock("unlock", first.Key)
	held := <-second
	c.say("the second holder", held, nil)
	c.everything("the second holds it")
	revoked, err := pb.NewLeaseClient(c.conn).LeaseRevoke(c.ctx, &pb.LeaseRevokeRequest{ID: 0xbb})
	c.say("its lease is revoked", revoked, err)
	unlock("unlock what is gone", held.GetKey())
	unlock("unlock what never was", []byte("none"))
	unlock("unlock without a key", nil)
	lock("a lease that is not there", "door", 0xdd)
	lock("no name", "", 0xcc)
	c.everything("at the end")
	own, err := locker.Lock(c.ctx, &v3lockpb.LockRequest{Name: []byte("own")})
	if err != nil {
		c.say("no lease", nil, err)
		return nil
	}
	record, err := c.client.Get(c.ctx, string(own.Key))
	if err != nil || len(record.Kvs) != 1 {
		return fmt.Errorf("the key of a lock without lease: %v, %w", record, err)
	}
	c.names.learn(uint64(record.Kvs[0].Lease), "the-own-lease")
	c.say("no lease", own, nil)
	return nil
}

func checkElection(c *apiCheck) error {
	if err := c.grantAll(0x1a, 0x2b, 0x3c); err != nil {
		return err
	}
	election, name := v3electionpb.NewElectionClient(c.conn), []byte("chair")
	leader := func(step string) {
		response, err := election.Leader(c.ctx, &v3electionpb.LeaderRequest{Name: name})
		c.say(step, response, err)
	}
	leader("no leader")
	observer, err := election.Observe(c.ctx, &v3electionpb.LeaderRequest{Name: name})
	if err != nil {
		return err
	}
	observe := func(step string) {
		response, err := observer.Recv()
		c.say(step, response, err)
	}
	first, err := election.Campaign(c.ctx, &v3electionpb.CampaignRequest{Name: name, Lease: 0x1a, Value: []byte("ann")})
	c.say("campaign", first, err)
	if err != nil {
		return err
	}
	observe("observed: ann")
	leader("the leader")
	second := make(chan *v3electionpb.CampaignResponse, 1)
	go func() {
		response, _ := election.Campaign(c.ctx, &v3electionpb.CampaignRequest{Name: name, Lease: 0x2b, Value: []byte("bob")})
		second <- response // nil after an error
	}()
	c.say("the second waits", isWaiting(second), nil)
	proclaim := func(step string, key *v3electionpb.LeaderKey, value string) {
		response, err := election.Proclaim(c.ctx, &v3electionpb.ProclaimRequest{Leader: key, Value: []byte(value)})
		c.say(step, response, err)
	}
	proclaim("proclaim", first.Leader, "ann the great")
	observe("observed: what ann proclaims")
	leader("the leader then")
	again, err := election.Campaign(c.ctx, &v3electionpb.CampaignRequest{Name: name, Lease: 0x1a, Value: []byte("ann again")})
	c.say("campaign again with the same lease", again, err)
	observe("observed: ann again")
	resign := func(step string, key *v3electionpb.LeaderKey) {
		response, err := election.Resign(c.ctx, &v3electionpb.ResignRequest{Leader: key})
		c.say(step, response, err)
	}
	resign("resign", first.Leader)
	bob := <-second
	c.say("the second candidate", bob, nil)
	observe("observed: bob")
	leader("the leader is bob")
	proclaim("proclaim what is over", first.Leader, "too late")
	resign("resign what is over", first.Leader)
	proclaim("proclaim without a key", nil, "x")
	resign("resign without a key", nil)
	revoked, err := pb.NewLeaseClient(c.conn).LeaseRevoke(c.ctx, &pb.LeaseRevokeRequest{ID: 0x2b})
	c.say("bob's lease is revoked", revoked, err)
	leader("no leader again")
	proclaim("bob proclaims", bob.GetLeader(), "still here")
	refused, err := election.Campaign(c.ctx, &v3electionpb.CampaignRequest{Name: name, Lease: 0x99, Value: []byte("x")})
	c.say("a lease that is not there", refused, err)
	c.everything("at the end")
	return nil
}

// checkClient goes through what clientv3 builds upon the calls: sessions, mutexes, STM, namespaces, errors.
func checkClient(c *apiCheck) error {
	session, err := concurrency.NewSession(c.client, concurrency.WithTTL(30))
	if err != nil {
		return err
	}
	c.names.learn(uint64(session.Lease()), "session-1")
	other, err := concurrency.NewSession(c.client, concurrency.WithTTL(30))
	if err != nil {
		return err
	}
	c.names.learn(uint64(other.Lease()), "session-2")
	first, second := concurrency.NewMutex(session, "mutex/"), concurrency.NewMutex(other, "mutex/")
	c.say("lock", nil, first.Lock(c.ctx))
	c.say("try", errors.Is(second.TryLock(c.ctx), concurrency.ErrLocked), nil)
	c.everything("locked")
	c.say("unlock", nil, first.Unlock(c.ctx))
	c.say("try again", nil, second.TryLock(c.ctx))
	for number := range 3 {
		_, err = concurrency.NewSTM(c.client, func(stm concurrency.STM) error {
			stm.Put("stm/count", stm.Get("stm/count")+"I")
			stm.Put("stm/last", fmt.Sprint(number))
			return nil
		}, concurrency.WithIsolation(concurrency.SerializableSnapshot))
		c.say("stm", nil, err)
	}
	election := concurrency.NewElection(session, "chair/")
	c.say("campaign", nil, election.Campaign(c.ctx, "me"))
	head, err := election.Leader(c.ctx)
	c.say("leader", head.Kvs, err)
	c.say("resign", nil, election.Resign(c.ctx))
	inside := namespace.NewKV(c.client.KV, "inside/")
	_, err = inside.Put(c.ctx, "a", "1")
	c.say("put in a namespace", nil, err)
	found, err := inside.Get(c.ctx, "", clientv3.WithPrefix())
	c.say("get in a namespace", found.Kvs, err)
	c.everything("all")
	c.say("close a session", nil, other.Close())
	c.everything("without what it held")
	_, err = c.client.Get(c.ctx, "x", clientv3.WithRev(1000))
	c.say("an error as clientv3 knows it", fmt.Sprintf("%T %v", err, err), nil)
	_, err = c.client.Put(c.ctx, "x", "y", clientv3.WithLease(4242))
	c.say("another", fmt.Sprintf("%T %v", err, err), nil)
	c.say("sync", nil, c.client.Sync(c.ctx))
	return session.Close()
}
