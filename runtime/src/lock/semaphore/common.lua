-- What the scripts of semaphores have in common: it stands before each of them, behind `hand_over.lua`.
--
-- The holders are entries of a sorted set, each with its own deadline in milliseconds of the server's clock.

-- Forgets those whose time is over. Returns the server's time in milliseconds.
local function purge(holders)
  local ms = math.floor(now() / 1000)
  redis.call('ZREMRANGEBYSCORE', holders, '-inf', ms)
  return ms
end

-- The set lives as long as the last of them.
local function keep(holders, ms)
  local last = redis.call('ZRANGE', holders, -1, -1, 'WITHSCORES')
  if last[2] then
    redis.call('PEXPIRE', holders, math.max(tonumber(last[2]) - ms, 1))
  end
end

-- Gives free places to those in the queue, until `own` has its turn, who is not told. Returns 2 if somebody has one now, else 1.
local function fill(holders, queue, counter, permits, inbox, claim, count, ms, own)
  local freed = 1
  while redis.call('ZCARD', holders) < permits do
    local entry = redis.call('LPOP', queue)
    local value = entry and string.sub(entry, 1, 36)
    if not entry or value == own then
      break
    end
    local token = 0
    if #entry > 36 then
      token = mint(counter, string.sub(entry, 37), count)
    end
    local message = value .. string.format('%.0f:%.0f', now(), token)
    if redis.call('PUBLISH', inbox .. string.sub(value, 1, 20), message) > 0 then
      redis.call('ZADD', holders, ms + claim, value)
      freed = 2
    end
  end
  return freed
end
