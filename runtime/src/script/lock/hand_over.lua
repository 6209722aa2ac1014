-- What the scripts of locks share: it stands before each of them.

-- Takes `count` fencing tokens; the first of them. Numbers are exact to 2^53, and never turned into text by `..` or
-- `tostring`, which keep 14 digits.
local function mint(counter, proposal, count)
  local first = math.max(tonumber(redis.call('GET', counter) or '0') + 1, tonumber(proposal))
  redis.call('SET', counter, first + count - 1)
  return first
end

-- Server time in microseconds.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- Forgets those of a sorted set of holders whose time is over. Returns the server's time in milliseconds.
local function purge(holders)
  local ms = math.floor(now() / 1000)
  redis.call('ZREMRANGEBYSCORE', holders, '-inf', ms)
  return ms
end

-- Queues an entry, unless it is to `leave`; one that is to `stay` may be there already. Returns its place, or 0 without one.
local function queue_up(queue, entry, how, life)
  if how == 'leave' then
    return 0
  end
  local found = how == 'stay' and redis.call('LPOS', queue, entry)
  local place = found and found + 1 or redis.call('RPUSH', queue, entry)
  redis.call('PEXPIRE', queue, life)
  return place
end

-- Tells the process whose value that is, in its inbox, that it has the lock from now on. Returns whether it listens.
local function tell(inbox, value, token)
  local message = value .. string.format('%.0f:%.0f', now(), token)
  return redis.call('PUBLISH', inbox .. string.sub(value, 1, 20), message) > 0
end

-- Gives the lock to the first in the queue whose process listens, until it answers or `claim` milliseconds have passed. An
-- entry of the queue is a value of 36 bytes, whose first 20 name the inbox, and the proposal of who wants a token. `own` is
-- not told: it asks by itself. Returns the value that has the lock now, or nothing if nobody waits.
local function hand_over(lock, queue, counter, inbox, claim, count, own)
  while true do
    local entry = redis.call('LPOP', queue)
    if not entry then
      return nil
    end
    local value, proposal = string.sub(entry, 1, 36), string.sub(entry, 37)
    if value == own then
      return own
    end
    local token = 0
    if proposal ~= '' then
      token = mint(counter, proposal, count)
    end
    if tell(inbox, value, token) then
      redis.call('SET', lock, value, 'PX', claim)
      return value
    end
  end
end
