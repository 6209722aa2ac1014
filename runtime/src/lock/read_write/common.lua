-- What the scripts of shared locks have in common: it stands before each of them, behind `hand_over.lua`.
--
-- Holders that share are entries of a sorted set, each with its own deadline in milliseconds of the server's clock, so that one
-- that died does not live on through the others. While there are any, the lock's key holds this word in place of an owner's
-- value, and lives as long as the last of them: whoever wants the lock for itself finds it held, and queues.
local SHARED = 'shared'

-- The lock lives as long as the last of its holders.
local function keep(lock, holders, ms)
  local last = redis.call('ZRANGE', holders, -1, -1, 'WITHSCORES')
  local left = math.max(tonumber(last[2]) - ms, 1)
  redis.call('SET', lock, SHARED, 'PX', left)
  redis.call('PEXPIRE', holders, left)
end

-- Lets in those at the head of the queue who share, too, up to the first who does not.
local function admit(queue, holders, sharing, inbox, claim, ms)
  while true do
    local entry = redis.call('LINDEX', queue, 0)
    local value = entry and string.sub(entry, 1, 36)
    if not entry or redis.call('SISMEMBER', sharing, value) == 0 then
      return
    end
    redis.call('LPOP', queue)
    redis.call('SREM', sharing, value)
    if tell(inbox, value, 0) then
      redis.call('ZADD', holders, ms + claim, value)
    end
  end
end
