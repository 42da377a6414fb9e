// SPDX-License-Identifier: GPL-2.0
/*
 * sch_epochgate: the C side.
 *
 * It registers the qdisc, finds the state behind it, and passes each operation on to Rust
 * (epochgate_rs_*, src/qdisc.rs): one call for a packet that comes, one for a packet that goes. Below
 * that stand the functions that Rust calls back on rarer occasions, which are static inlines or macros
 * in the kernel, and the places of the fields that Rust reads itself (src/bindings/glue.rs).
 *
 * Decisions are made in Rust; there are none here.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <net/netlink.h>
#include <net/pkt_cls.h>
#include <net/pkt_sched.h>
#include <net/sch_generic.h>

/* src/qdisc.rs, Circumstances */
struct epochgate_circumstances {
	u64 device_limit;
	u32 is_plug;
};

size_t epochgate_rs_size(void);
int epochgate_rs_init(void *state, const struct epochgate_circumstances *circumstances,
		      const u8 *options, size_t length, u64 now);
void epochgate_rs_destroy(void *state);
int epochgate_rs_change(void *state, struct Qdisc *sch, const u8 *options, size_t length,
			u64 now);
bool epochgate_rs_enqueue(void *state, struct Qdisc *sch, struct sk_buff *skb, u32 class,
			  u64 now);
struct sk_buff *epochgate_rs_dequeue(void *state, struct Qdisc *sch, u64 now);
struct sk_buff *epochgate_rs_peek(void *state);
void epochgate_rs_reset(void *state);
int epochgate_rs_dump(void *state, u8 *to, size_t room, u64 now);

/* src/netlink/dump.rs, LONGEST */
#define EPOCHGATE_LONGEST 512

static char *kind = "epochgate";
module_param(kind, charp, 0444);
MODULE_PARM_DESC(kind, "the name of the qdisc: epochgate, or plug to stand in for sch_plug");

static bool is_plug;

struct epochgate_sched_data {
	struct qdisc_watchdog watchdog;
	struct tcf_proto __rcu *filter_list;
	struct tcf_block *block;
	/* Packets that were in the queue and were dropped, until parents have been told. */
	unsigned int lost;
	unsigned int lost_bytes;
	bool alive;
	u64 state[];
};

/*
 * Nanoseconds, good to a tick, which is enough for ages and the watchdog: it is read for each
 * packet. Its zero is any time, and it never stands at 0.
 */
static u64 epochgate_now(void)
{
	return (u64)jiffies * TICK_NSEC | 1;
}

static void epochgate_tell_parents(struct Qdisc *sch, struct epochgate_sched_data *q)
{
	if (q->lost) {
		qdisc_tree_reduce_backlog(sch, q->lost, q->lost_bytes);
		q->lost = 0;
		q->lost_bytes = 0;
	}
}

/*
 * Has the filters look at a packet: the minor number of the class that they chose in *class, or 0.
 * False if an action of theirs has taken the packet or wants it dropped; *ret is then the answer.
 */
static bool epochgate_classify(struct sk_buff *skb, struct tcf_proto *fl, u32 *class, int *ret)
{
	struct tcf_result res;

	switch (tcf_classify(skb, NULL, fl, &res, false)) {
	case TC_ACT_OK:
	case TC_ACT_RECLASSIFY:
	case TC_ACT_PIPE:
		*class = TC_H_MIN(res.classid);
		return true;
	case TC_ACT_STOLEN:
	case TC_ACT_QUEUED:
	case TC_ACT_TRAP:
		*ret = NET_XMIT_SUCCESS | __NET_XMIT_STOLEN;
		return false;
	case TC_ACT_SHOT:
		*ret = NET_XMIT_SUCCESS | __NET_XMIT_BYPASS;
		return false;
	default:
		/* No filter matched. */
		return true;
	}
}

static int epochgate_enqueue(struct sk_buff *skb, struct Qdisc *sch, struct sk_buff **to_free)
{
	struct epochgate_sched_data *q = qdisc_priv(sch);
	struct tcf_proto *fl = rcu_dereference_bh(q->filter_list);
	u32 class = 0;
	int ret;

	if (unlikely(fl) && !epochgate_classify(skb, fl, &class, &ret)) {
		if (ret & __NET_XMIT_BYPASS)
			qdisc_qstats_drop(sch);
		__qdisc_drop(skb, to_free);
		return ret;
	}
	if (likely(epochgate_rs_enqueue(q->state, sch, skb, class, epochgate_now())))
		return NET_XMIT_SUCCESS;
	return qdisc_drop(skb, sch, to_free);
}

static struct sk_buff *epochgate_dequeue(struct Qdisc *sch)
{
	struct epochgate_sched_data *q = qdisc_priv(sch);
	struct sk_buff *skb = epochgate_rs_dequeue(q->state, sch, epochgate_now());

	if (skb)
		qdisc_bstats_update(sch, skb);
	/*
	 * A parent that is told of an empty queue forgets this qdisc, and it must not do so in the
	 * middle of its own dequeue: then it is told the next time.
	 */
	if (unlikely(q->lost) && sch->q.qlen)
		epochgate_tell_parents(sch, q);
	return skb;
}

static struct sk_buff *epochgate_peek(struct Qdisc *sch)
{
	struct epochgate_sched_data *q = qdisc_priv(sch);

	return epochgate_rs_peek(q->state);
}

static void epochgate_explain(int err, struct netlink_ext_ack *extack)
{
	switch (err) {
	case -EINVAL:
		NL_SET_ERR_MSG(extack, "not understood, or not the next epoch");
		break;
	case -ERANGE:
		NL_SET_ERR_MSG(extack, "a number out of its range");
		break;
	case -ENOSPC:
		NL_SET_ERR_MSG(extack, "too many epochs in flight: commit or abort one first");
		break;
	case -ENOBUFS:
		NL_SET_ERR_MSG(extack, "packets found no room: commit an epoch first");
		break;
	case -EBUSY:
		NL_SET_ERR_MSG(extack, "the epoch is still open: begin the next one first");
		break;
	case -ENOENT:
		NL_SET_ERR_MSG(extack, "the epoch has not begun");
		break;
	case -EAGAIN:
		NL_SET_ERR_MSG(extack, "an older epoch comes first");
		break;
	case -ECANCELED:
		NL_SET_ERR_MSG(extack, "the epoch was aborted");
		break;
	case -EALREADY:
		NL_SET_ERR_MSG(extack, "the epoch is committed");
		break;
	}
}

static int epochgate_change(struct Qdisc *sch, struct nlattr *opt,
			    struct netlink_ext_ack *extack)
{
	struct epochgate_sched_data *q = qdisc_priv(sch);
	int err;

	if (!opt)
		return 0;
	sch_tree_lock(sch);
	err = epochgate_rs_change(q->state, sch, nla_data(opt), nla_len(opt), epochgate_now());
	epochgate_tell_parents(sch, q);
	sch_tree_unlock(sch);
	epochgate_explain(err, extack);
	return err;
}

static int epochgate_init(struct Qdisc *sch, struct nlattr *opt, struct netlink_ext_ack *extack)
{
	struct epochgate_sched_data *q = qdisc_priv(sch);
	struct net_device *dev = qdisc_dev(sch);
	struct epochgate_circumstances circumstances = {
		.device_limit = (u64)dev->tx_queue_len * psched_mtu(dev),
		.is_plug = is_plug,
	};
	int err;

	qdisc_watchdog_init(&q->watchdog, sch);
	err = epochgate_rs_init(q->state, &circumstances, opt ? nla_data(opt) : NULL,
				opt ? nla_len(opt) : 0, epochgate_now());
	if (err) {
		epochgate_explain(err, extack);
		return err;
	}
	/* From here on destroy() has something to do; the core calls it also when this fails. */
	q->alive = true;
	return tcf_block_get(&q->block, &q->filter_list, sch, extack);
}

static void epochgate_reset(struct Qdisc *sch)
{
	struct epochgate_sched_data *q = qdisc_priv(sch);

	if (!q->alive)
		return;
	qdisc_watchdog_cancel(&q->watchdog);
	epochgate_rs_reset(q->state);
	/* Whoever resets this one starts from nothing as well. */
	q->lost = 0;
	q->lost_bytes = 0;
}

static void epochgate_destroy(struct Qdisc *sch)
{
	struct epochgate_sched_data *q = qdisc_priv(sch);

	if (!q->alive)
		return;
	tcf_block_put(q->block);
	qdisc_watchdog_cancel(&q->watchdog);
	epochgate_rs_destroy(q->state);
	q->alive = false;
}

static int epochgate_dump(struct Qdisc *sch, struct sk_buff *skb)
{
	struct epochgate_sched_data *q = qdisc_priv(sch);
	u8 buffer[EPOCHGATE_LONGEST];
	int length;

	sch_tree_lock(sch);
	length = epochgate_rs_dump(q->state, buffer, sizeof(buffer), epochgate_now());
	sch_tree_unlock(sch);
	if (length < 0)
		return length;
	if (nla_put(skb, TCA_OPTIONS | NLA_F_NESTED, length, buffer))
		return -EMSGSIZE;
	return skb->len;
}

/* Classes are there for filters to choose from and for nothing else. */

static struct Qdisc *epochgate_leaf(struct Qdisc *sch, unsigned long class)
{
	return NULL;
}

static unsigned long epochgate_find(struct Qdisc *sch, u32 classid)
{
	return 0;
}

static unsigned long epochgate_bind(struct Qdisc *sch, unsigned long parent, u32 classid)
{
	return 0;
}

static void epochgate_unbind(struct Qdisc *sch, unsigned long class)
{
}

static struct tcf_block *epochgate_tcf_block(struct Qdisc *sch, unsigned long class,
					     struct netlink_ext_ack *extack)
{
	struct epochgate_sched_data *q = qdisc_priv(sch);

	return class ? NULL : q->block;
}

static int epochgate_dump_class(struct Qdisc *sch, unsigned long class, struct sk_buff *skb,
				struct tcmsg *tcm)
{
	return 0;
}

static void epochgate_walk(struct Qdisc *sch, struct qdisc_walker *walker)
{
}

static const struct Qdisc_class_ops epochgate_class_ops = {
	.leaf = epochgate_leaf,
	.find = epochgate_find,
	.tcf_block = epochgate_tcf_block,
	.bind_tcf = epochgate_bind,
	.unbind_tcf = epochgate_unbind,
	.dump = epochgate_dump_class,
	.walk = epochgate_walk,
};

/* The name and the size are set before it is registered. */
static struct Qdisc_ops epochgate_ops = {
	.cl_ops = &epochgate_class_ops,
	.enqueue = epochgate_enqueue,
	.dequeue = epochgate_dequeue,
	.peek = epochgate_peek,
	.init = epochgate_init,
	.reset = epochgate_reset,
	.destroy = epochgate_destroy,
	.change = epochgate_change,
	.dump = epochgate_dump,
	.owner = THIS_MODULE,
};

int epochgate_register(void);
void epochgate_unregister(void);

int epochgate_register(void)
{
	is_plug = !strcmp(kind, "plug");
	if (!is_plug && strcmp(kind, "epochgate")) {
		pr_err("kind is epochgate or plug, not %s\n", kind);
		return -EINVAL;
	}
	strscpy(epochgate_ops.id, kind, sizeof(epochgate_ops.id));
	epochgate_ops.priv_size = sizeof(struct epochgate_sched_data) + epochgate_rs_size();
	return register_qdisc(&epochgate_ops);
}

void epochgate_unregister(void)
{
	unregister_qdisc(&epochgate_ops);
}

MODULE_ALIAS("net-sch-epochgate");

/* With the kernel's own Rust, module! in src/lib.rs says all of this. */
#ifndef EPOCHGATE_RUST
static int __init epochgate_module_init(void)
{
	return epochgate_register();
}

static void __exit epochgate_module_exit(void)
{
	epochgate_unregister();
}

module_init(epochgate_module_init);
module_exit(epochgate_module_exit);
MODULE_AUTHOR("the Epochgate authors");
MODULE_DESCRIPTION("Holds packets until the checkpoint of their epoch is committed");
MODULE_LICENSE("GPL");
#endif

/* What Rust calls; the prototypes are in src/bindings/glue.rs and kernel/src/bindings/glue.rs. */

/* src/bindings/glue.rs, Layout */
struct epochgate_layout {
	u32 skb_next;
	u32 skb_len;
	u32 skb_mark;
	u32 skb_pkt_len;
	u32 skb_private;
	u32 sch_qlen;
	u32 sch_backlog;
};

static_assert(sizeof_field(struct sk_buff, len) == sizeof(u32));
static_assert(sizeof_field(struct sk_buff, mark) == sizeof(u32));
static_assert(sizeof_field(struct qdisc_skb_cb, pkt_len) == sizeof(u32));
static_assert(sizeof_field(struct Qdisc, q.qlen) == sizeof(u32));
static_assert(sizeof_field(struct Qdisc, qstats.backlog) == sizeof(u32));

extern const struct epochgate_layout epochgate_layout;
const struct epochgate_layout epochgate_layout = {
	.skb_next = offsetof(struct sk_buff, next),
	.skb_len = offsetof(struct sk_buff, len),
	.skb_mark = offsetof(struct sk_buff, mark),
	.skb_pkt_len = offsetof(struct sk_buff, cb) + offsetof(struct qdisc_skb_cb, pkt_len),
	.skb_private = offsetof(struct sk_buff, cb) + offsetof(struct qdisc_skb_cb, data),
	.sch_qlen = offsetof(struct Qdisc, q.qlen),
	.sch_backlog = offsetof(struct Qdisc, qstats.backlog),
};

void *epochgate_kmalloc(size_t bytes, u32 atomic);
void epochgate_kfree(void *memory);
void epochgate_print(u32 warn, const char *text);
void epochgate_skb_free(struct sk_buff *skb);
void epochgate_drop_queued(struct Qdisc *sch, struct sk_buff *skb);
void epochgate_overlimit(struct Qdisc *sch);
void epochgate_schedule(struct Qdisc *sch);
void epochgate_watchdog(struct Qdisc *sch, u64 expires);

void *epochgate_kmalloc(size_t bytes, u32 atomic)
{
	return kmalloc(bytes, (atomic ? GFP_ATOMIC : GFP_KERNEL) | __GFP_NOWARN);
}

void epochgate_kfree(void *memory)
{
	kfree(memory);
}

void epochgate_print(u32 warn, const char *text)
{
	if (warn)
		pr_warn("%s", text);
	else
		pr_info("%s", text);
}

void epochgate_skb_free(struct sk_buff *skb)
{
	kfree_skb(skb);
}

void epochgate_drop_queued(struct Qdisc *sch, struct sk_buff *skb)
{
	struct epochgate_sched_data *q = qdisc_priv(sch);

	sch->q.qlen--;
	qdisc_qstats_backlog_dec(sch, skb);
	qdisc_qstats_drop(sch);
	q->lost++;
	q->lost_bytes += qdisc_pkt_len(skb);
	kfree_skb(skb);
}

void epochgate_overlimit(struct Qdisc *sch)
{
	qdisc_qstats_overlimit(sch);
}

void epochgate_schedule(struct Qdisc *sch)
{
	netif_schedule_queue(sch->dev_queue);
}

void epochgate_watchdog(struct Qdisc *sch, u64 expires)
{
	struct epochgate_sched_data *q = qdisc_priv(sch);
	u64 now = epochgate_now();
	u64 left = expires > now ? expires - now : 0;

	/* A tick later at least, when epochgate_now() will say so too; one that is set stays. */
	qdisc_watchdog_schedule_range_ns(&q->watchdog, ktime_get_ns() + left + TICK_NSEC,
					 2 * TICK_NSEC);
}
