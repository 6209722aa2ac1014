-- What the scripts of semaphores have in common: it stands before each of them, behind `hand_over.lua`.
--
-- The holders are entries of a sorted set, each with its own deadline in milliseconds of the server's clock.

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
    if tell(inbox, value, token) then
      redis.call('ZADD', holders, ms + claim, value)
      freed = 2
    end
  end
  return freed
end
