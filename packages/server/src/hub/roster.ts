/** A member of a {@link Roster}. */
interface Seated {
  /** Its place in the roster, which sets it. */
  seat: number;
}

/**
 * The subscriptions of a view. Those that flow come first, so that the others, whose peers do not
 * keep up or get documents first, cost nothing until they flow again.
 *
 * Who goes through the flowing ones from the last to the first meets each at least once, whatever joins, leaves, or
 * stops to flow meanwhile; but for those that begin to flow, which have to be visited on their own.
 */
export class Roster<Member extends Seated> {
  #members: Member[] = [];
  #flowing = 0;

  get size(): number {
    return this.#members.length;
  }

  /** How many flow. */
  get flowing(): number {
    return this.#flowing;
  }

  get members(): readonly Member[] {
    return this.#members;
  }

  /** It does not flow yet. */
  add(member: Member): void {
    member.seat = this.#members.length;
    // Most views have one: an empty array would get room for many.
    if (this.#members.length === 0) this.#members = [member];
    else this.#members.push(member);
  }

  delete(member: Member): void {
    if (!this.#has(member)) return;
    this.hold(member);
    this.#seat(member, this.#members.length - 1);
    this.#members.pop();
  }

  /** It can be visited. */
  release(member: Member): void {
    if (!this.#has(member) || member.seat < this.#flowing) return;
    this.#seat(member, this.#flowing);
    this.#flowing += 1;
  }

  /** It cannot be visited until {@link release}. */
  hold(member: Member): void {
    if (!this.isFlowing(member)) return;
    this.#flowing -= 1;
    this.#seat(member, this.#flowing);
  }

  isFlowing(member: Member): boolean {
    return member.seat < this.#flowing && this.#has(member);
  }

  /** Whether it has not left. */
  #has(member: Member): boolean {
    return this.#members[member.seat] === member;
  }

  /** Lets a member and the one in a seat change places. */
  #seat(member: Member, seat: number): void {
    const other = this.#members[seat];
    if (other === undefined) return;
    this.#members[member.seat] = other;
    other.seat = member.seat;
    this.#members[seat] = member;
    member.seat = seat;
  }
}
