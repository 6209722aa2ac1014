-- What follows begins with this: lifts the lock's counter of tokens, and the ledger's highest, to the token at least. A counter
-- that is missing has expired, and goes on from the ledger's highest: set to a token below that, it would count it again.
local function raise(counter, ledger, token, life)
  local high = redis.call('HGET', ledger, 'high')
  if tonumber(redis.call('GET', counter) or high or '0') < tonumber(token) then
    redis.call('SET', counter, token, 'PX', life)
  end
  if high and tonumber(high) < tonumber(token) then
    redis.call('HSET', ledger, 'high', token)
  end
end
