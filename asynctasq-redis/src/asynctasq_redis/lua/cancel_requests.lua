-- List the leases of an owner that are flagged to be cancelled. ARGV: owner. Returns ids and tokens in turn.

local flagged = call('SMEMBERS', P .. 'c:' .. ARGV[1])
local answer = {}
for _, id in ipairs(flagged) do
    local lease = lease_of(id)
    if lease and lease.owner == ARGV[1] then
        answer[#answer + 1] = id
        answer[#answer + 1] = lease.token
    end
end
return answer
